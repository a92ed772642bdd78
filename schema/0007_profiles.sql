-- +goose Up
--
-- Whose behaviour a subscription follows, and its condition in fields: a JSON
-- object, empty for none. Both databases keep the defaults beside the table, so
-- this costs the same for any number of rows.
ALTER TABLE subscriptions ADD COLUMN profile TEXT NOT NULL DEFAULT 'carillon';
ALTER TABLE subscriptions ADD COLUMN match_fields TEXT NOT NULL DEFAULT '';

-- The numbers that other products' own APIs know subscriptions by. A row stays
-- when its subscription is deleted, so that no number comes to mean another.
CREATE TABLE face_numbers (
    face            TEXT   NOT NULL,
    number          BIGINT NOT NULL,
    subscription_id TEXT   NOT NULL,
    PRIMARY KEY (face, number)
);

CREATE UNIQUE INDEX face_numbers_by_subscription ON face_numbers (face, subscription_id);
