-- +goose Up
--
-- What a subscription chose for its format: a JSON object, empty where there is
-- nothing to choose. Both databases keep the default beside the table, so this
-- costs the same for any number of rows.
ALTER TABLE subscriptions ADD COLUMN format_options TEXT NOT NULL DEFAULT '';
