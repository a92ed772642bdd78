-- +goose Up
--
-- How a source's requests prove where they come from: sealed as a whole, empty
-- where the API key does. Both databases keep the default beside the table, so
-- this costs the same for any number of rows.
ALTER TABLE sources ADD COLUMN authentication TEXT NOT NULL DEFAULT '';
