-- +goose Up
--
-- Where a channel put its messages of a topic, so that what follows goes to the
-- same place. A thread is written by its channel alone; updated_at is when it was
-- last used, by which old ones are pruned. A new table: nothing is rewritten.
CREATE TABLE threads (
    subscription_id TEXT   NOT NULL,
    topic           TEXT   NOT NULL,
    thread          TEXT   NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (subscription_id, topic)
);

CREATE INDEX threads_by_use ON threads (updated_at);
