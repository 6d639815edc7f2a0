-- The audit log, keysets, blobs and releases. Times are milliseconds UTC, digests are SHA-256 unless named otherwise.

-- +goose Up

CREATE TABLE audit_records (
    seq         BIGINT NOT NULL PRIMARY KEY CHECK (seq >= 1),
    time_ms     BIGINT NOT NULL,
    actor       TEXT   NOT NULL,
    action      TEXT   NOT NULL,
    object      TEXT   NOT NULL,
    address     TEXT   NOT NULL,
    before_json BLOB,
    after_json  BLOB,
    prev_hash   BLOB   NOT NULL CHECK (length(prev_hash) = 32),
    hash        BLOB   NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX audit_records_object ON audit_records (object, seq);
CREATE INDEX audit_records_action ON audit_records (action, seq);
CREATE INDEX audit_records_actor ON audit_records (actor, seq);

CREATE TABLE audit_checkpoints (
    seq     BIGINT NOT NULL PRIMARY KEY,
    time_ms BIGINT NOT NULL,
    object  BLOB   NOT NULL -- the signed checkpoint
);

-- How often something about a topic changed: what other processes look at to learn of it.
CREATE TABLE revisions (
    topic    TEXT   NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);

CREATE TABLE public_keys (
    id       BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32), -- thumbprint
    cose_key BLOB NOT NULL
);

CREATE TABLE keysets (
    device_type TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    object      BLOB   NOT NULL, -- the signed keyset
    added_ms    BIGINT NOT NULL,
    PRIMARY KEY (device_type, version)
);

CREATE TABLE blobs (
    digest   BLOB   NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    size     BIGINT NOT NULL CHECK (size > 0),
    md5      BLOB   NOT NULL CHECK (length(md5) = 16),
    sha1     BLOB   NOT NULL CHECK (length(sha1) = 20),
    added_ms BIGINT NOT NULL
);

CREATE TABLE documents (
    digest  BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    content BLOB NOT NULL
);

-- Everything but the last six columns is read from the signed manifest, and stands here to be searched and ordered.
CREATE TABLE releases (
    identity         BLOB   NOT NULL PRIMARY KEY CHECK (length(identity) = 32),
    device_type      TEXT   NOT NULL,
    component        TEXT   NOT NULL, -- empty: main firmware
    key_epoch        BIGINT NOT NULL, -- upper half of the sequence
    release_number   BIGINT NOT NULL, -- lower half
    version          TEXT   NOT NULL,
    downgrade        BIGINT NOT NULL, -- 1: an approved downgrade, whose version stands twice
    security_counter BIGINT NOT NULL,
    image_digest     BLOB   NOT NULL REFERENCES blobs (digest),
    document_digest  BLOB            REFERENCES documents (digest),
    manifest         BLOB   NOT NULL, -- the signed manifest
    manifest_hash    BLOB   NOT NULL UNIQUE CHECK (length(manifest_hash) = 32),
    keyset_version   BIGINT NOT NULL, -- of the keyset under which it was accepted
    published_ms     BIGINT NOT NULL,
    published_by     TEXT   NOT NULL,
    withdrawn_ms     BIGINT,
    withdrawn_by     TEXT,
    withdrawn_reason TEXT,
    UNIQUE (device_type, key_epoch, release_number),
    FOREIGN KEY (device_type, keyset_version) REFERENCES keysets (device_type, version)
);
CREATE UNIQUE INDEX releases_version ON releases (device_type, component, version) WHERE downgrade = 0;
CREATE INDEX releases_image ON releases (image_digest);
