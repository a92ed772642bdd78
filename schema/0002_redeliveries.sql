-- +goose Up
-- How often a delivery was handed to a run of its own after the event's first,
-- and under which key of the caller the last time. Adding columns with constant
-- defaults rewrites no row.
ALTER TABLE deliveries ADD COLUMN redeliveries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN redelivery_key TEXT NOT NULL DEFAULT '';
