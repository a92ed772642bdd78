-- +goose Up
--
-- How many requests a key may make: a JSON object, empty for what the
-- configuration says. What a key is limited to besides is in its scope, which
-- now counts for every role. Both databases keep the default beside the table,
-- so this costs the same for any number of rows.
ALTER TABLE keys ADD COLUMN rate_limit TEXT NOT NULL DEFAULT '';
