-- +goose Up
-- How often a delivery was handed to a run of its own after the event's first.
-- Adding a column with a constant default rewrites no row.
ALTER TABLE deliveries ADD COLUMN redeliveries BIGINT NOT NULL DEFAULT 0;
