-- +goose Up
--
-- What is set for the whole installation, by channel: its shared fields, sealed.
CREATE TABLE settings (
	channel TEXT PRIMARY KEY,
	value TEXT NOT NULL,
	version BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
