-- +goose Up
--
-- One text for PostgreSQL and SQLite: TEXT, BIGINT and BOOLEAN only. JSON is
-- TEXT; an instant is the number of microseconds since 1970 in UTC, and 0 is
-- none; a column without a value holds its type's zero, so that nothing here
-- is NULL. Migrations go forward only.

-- The configuration's version: one row. A change of the subscriptions begins
-- with its increment, whose row lock makes such changes follow one another:
-- versions come in the order of their commits.
CREATE TABLE config (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);

INSERT INTO config (id, version) VALUES (1, 0);

CREATE TABLE subscriptions (
    id              TEXT    NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    event_types     TEXT    NOT NULL, -- JSON array of patterns
    scope           TEXT    NOT NULL, -- JSON object of arrays
    condition       TEXT    NOT NULL,
    include_cached  BOOLEAN NOT NULL,
    channel         TEXT    NOT NULL,
    endpoint        TEXT    NOT NULL, -- sealed
    format          TEXT    NOT NULL,
    retry           TEXT    NOT NULL, -- JSON object
    state           TEXT    NOT NULL CHECK (state IN ('enabled', 'paused', 'disabled')),
    disabled_by     TEXT    NOT NULL,
    disabled_reason TEXT    NOT NULL,
    generation      BIGINT  NOT NULL,
    version         BIGINT  NOT NULL,
    created_version BIGINT  NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL
);

-- The index of events: everything but their data, which is in the history of
-- the run that owns them.
CREATE TABLE events (
    id               TEXT   NOT NULL PRIMARY KEY,
    type             TEXT   NOT NULL,
    source           TEXT   NOT NULL,
    actor            TEXT   NOT NULL,
    subject          TEXT   NOT NULL,
    scope            TEXT   NOT NULL, -- JSON object
    occurred_at      BIGINT NOT NULL,
    received_at      BIGINT NOT NULL,
    fingerprint      TEXT   NOT NULL,
    workflow_id      TEXT   NOT NULL,
    owner_run        TEXT   NOT NULL,
    condition_errors TEXT   NOT NULL  -- JSON array
);

-- Lists are newest first, and every index carries the columns that they are
-- ordered by, so that a page costs its own rows, whatever the table's size.
-- A list by source has no index: it reads events from the newest on, and costs
-- what lies between two events of that source.
CREATE INDEX events_by_time ON events (received_at, id);

CREATE INDEX events_by_type ON events (type, received_at, id);

CREATE INDEX events_by_subject ON events (subject, received_at, id) WHERE subject <> '';

-- One row for each key of an event's scope, as the index of the lists by scope.
CREATE TABLE event_scopes (
    scope_key   TEXT   NOT NULL,
    scope_value TEXT   NOT NULL,
    received_at BIGINT NOT NULL,
    event_id    TEXT   NOT NULL,
    PRIMARY KEY (scope_key, scope_value, received_at, event_id)
);

-- A delivery outlives its subscription: there is no foreign key.
CREATE TABLE deliveries (
    event_id        TEXT   NOT NULL,
    subscription_id TEXT   NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('pending', 'retrying', 'held', 'succeeded', 'failed', 'canceled')),
    attempts        BIGINT NOT NULL,
    status          BIGINT NOT NULL,
    error           TEXT   NOT NULL,
    duration        BIGINT NOT NULL, -- microseconds
    next_at         BIGINT NOT NULL,
    first_failed_at BIGINT NOT NULL,
    workflow_id     TEXT   NOT NULL,
    owner_run       TEXT   NOT NULL,
    event_type      TEXT   NOT NULL,
    channel         TEXT   NOT NULL,
    host            TEXT   NOT NULL,
    received_at     BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (event_id, subscription_id)
);

CREATE INDEX deliveries_by_time ON deliveries (received_at, event_id, subscription_id);

CREATE INDEX deliveries_by_subscription ON deliveries (subscription_id, received_at, event_id);

-- Nearly all deliveries end as succeeded: the two indexes of states leave them
-- out and stay small. A list of succeeded ones takes the indexes above, where
-- nearly every row is one.
CREATE INDEX deliveries_by_state ON deliveries (state, received_at, event_id, subscription_id)
    WHERE state <> 'succeeded';

CREATE INDEX deliveries_by_subscription_state ON deliveries (subscription_id, state, received_at, event_id)
    WHERE state <> 'succeeded';

CREATE TABLE sources (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    scope      TEXT   NOT NULL, -- JSON object
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX sources_by_name ON sources (LOWER(name));

-- What is known of an OCI registry: its tags, its digests, and what was
-- answered to the notifications it sent, for when it sends them again.
CREATE TABLE oci_tags (
    source_id  TEXT    NOT NULL,
    repository TEXT    NOT NULL,
    tag        TEXT    NOT NULL,
    digest     TEXT    NOT NULL, -- the last one, also of a tag that is gone
    live       BOOLEAN NOT NULL,
    updated_at BIGINT  NOT NULL,
    PRIMARY KEY (source_id, repository, tag)
);

CREATE INDEX oci_tags_by_digest ON oci_tags (source_id, repository, digest);

CREATE TABLE oci_digests (
    source_id  TEXT   NOT NULL,
    repository TEXT   NOT NULL,
    digest     TEXT   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('new', 'manifest', 'blob', 'deleted')),
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (source_id, repository, digest)
);

CREATE TABLE oci_answers (
    source_id   TEXT   NOT NULL,
    upstream_id TEXT   NOT NULL,
    question    TEXT   NOT NULL, -- JSON array: what was asked, about what
    answer      TEXT   NOT NULL, -- JSON object
    at          BIGINT NOT NULL,
    PRIMARY KEY (source_id, upstream_id, question)
);

CREATE INDEX oci_answers_by_time ON oci_answers (at);

-- Who changed what. Rows are only ever added.
CREATE TABLE audit (
    id     TEXT   NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  TEXT   NOT NULL,
    action TEXT   NOT NULL,
    object TEXT   NOT NULL,
    detail TEXT   NOT NULL,
    before TEXT   NOT NULL, -- JSON without secrets; empty where there was nothing
    after  TEXT   NOT NULL
);

CREATE INDEX audit_by_time ON audit (at, id);

CREATE INDEX audit_by_object ON audit (object, at, id);
