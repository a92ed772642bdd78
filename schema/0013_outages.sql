-- +goose Up
--
-- What people are told, and how often. told_since is since when they know that a
-- subscription does not deliver (0 is that they know of nothing). A subscription
-- that writes for people sends at most max_per_minute messages a minute (0 is no
-- limit), which its row in brakes counts: of minute, in minutes since 1970. What
-- was sent of a delivery that was made in part is its progress. Both databases
-- keep the defaults beside the tables.
ALTER TABLE subscriptions ADD COLUMN told_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN max_per_minute BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN progress TEXT NOT NULL DEFAULT '';

CREATE TABLE brakes (
	subscription_id TEXT PRIMARY KEY,
	minute BIGINT NOT NULL,
	sent BIGINT NOT NULL
);

-- Workers read all of it once a second.
DROP INDEX subscriptions_in_trouble;
CREATE INDEX subscriptions_in_trouble ON subscriptions (id) WHERE failures > 0 OR (told_since > 0 AND state = 'enabled');
