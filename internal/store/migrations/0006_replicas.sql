-- What several replicas, and a copy of the database, must agree on.

-- +goose Up

-- Of each secret that is a file, by which a replica finds that it was given the same as the others.
CREATE TABLE shared_secrets (
    name        TEXT   NOT NULL PRIMARY KEY,
    fingerprint BLOB   NOT NULL CHECK (length(fingerprint) = 32),
    added_ms    BIGINT NOT NULL
);

-- A row while everything is being copied into this database: it must not be used before that is done. What is copied is told by
-- the head of the source's audit log.
CREATE TABLE copying (
    id          BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    source_seq  BIGINT NOT NULL,
    source_hash BLOB   NOT NULL CHECK (length(source_hash) = 32),
    started_ms  BIGINT NOT NULL
);
