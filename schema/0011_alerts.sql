-- +goose Up
--
-- The inbox. Ids are ULIDs, so they are in the order of time; an event is in an
-- inbox once for a subscription. owner is empty for the system's.
CREATE TABLE alerts (
	id TEXT PRIMARY KEY,
	owner TEXT NOT NULL,
	event_id TEXT NOT NULL,
	subscription_id TEXT NOT NULL,
	event_type TEXT NOT NULL,
	level TEXT NOT NULL,
	title TEXT NOT NULL,
	text TEXT NOT NULL,
	link TEXT NOT NULL,
	at BIGINT NOT NULL,
	read_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX alerts_once ON alerts (owner, event_id, subscription_id);
CREATE INDEX alerts_by_owner ON alerts (owner, id);
CREATE INDEX alerts_by_time ON alerts (owner, at, id);
CREATE INDEX alerts_unread ON alerts (owner, id) WHERE read_at = 0;
