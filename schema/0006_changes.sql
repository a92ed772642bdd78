-- +goose Up
--
-- The version of the configuration that a subscription last changed in, so that
-- whoever has an older copy reads only what changed since. Adding a column with
-- a constant default rewrites no row; the index is of the few rows that people
-- made.
ALTER TABLE subscriptions ADD COLUMN changed_version BIGINT NOT NULL DEFAULT 0;

CREATE INDEX subscriptions_by_change ON subscriptions (changed_version);
