-- +goose Up
--
-- The keys that open the API. A row is written once; then only its last use
-- and its revocation change, and it is never deleted: the audit names it.
-- Few and small, so lists need no index beside the ids, which sort by time.
CREATE TABLE keys (
    id           TEXT   NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL,
    role         TEXT   NOT NULL CHECK (role IN ('admin', 'operator', 'publisher', 'reader')),
    secret_hash  TEXT   NOT NULL, -- SHA-256 of the secret, in hexadecimal
    sources      TEXT   NOT NULL, -- JSON array
    scope        TEXT   NOT NULL, -- JSON object of arrays
    created_by   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);

-- The audit by who did it. It grows by what people do, so building the index
-- takes moments.
CREATE INDEX audit_by_actor ON audit (actor, at, id);
