-- +goose Up
--
-- How an endpoint takes attempts: those that failed in a row, since when; and
-- of its breaker, since when it is open and when the next probe is due (0 is
-- none). Adding columns with constant defaults rewrites no row. The index is
-- of the endpoints in trouble alone: workers read all of it once a second.
ALTER TABLE subscriptions ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN failing_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN open_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN probe_at BIGINT NOT NULL DEFAULT 0;

CREATE INDEX subscriptions_in_trouble ON subscriptions (id) WHERE failures > 0;
