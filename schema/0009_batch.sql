-- +goose Up
--
-- How a subscription's events are gathered: a JSON object, empty where each goes
-- alone. Both databases keep the default beside the table, so this costs the
-- same for any number of rows.
ALTER TABLE subscriptions ADD COLUMN batch TEXT NOT NULL DEFAULT '';
