-- Devices, enrolment codes and operators' tokens. No secret stands here: device keys are derived from a master that is a file,
-- of tokens and codes there is the SHA-256. 64-bit counters (sequences, nonces) are stored as the signed integer of the same bits.

-- +goose Up

CREATE TABLE devices (
    device_type       TEXT   NOT NULL,
    id                TEXT   NOT NULL,
    vendor            TEXT   NOT NULL,
    level             BIGINT NOT NULL CHECK (level IN (1, 2)),      -- 1: device key, 2: bearer token
    generation        BIGINT NOT NULL CHECK (generation >= 1),      -- of its keys
    revoked           BIGINT NOT NULL,
    hardware_revision TEXT   NOT NULL,
    labels            BLOB   NOT NULL,                              -- JSON object
    token_hash        BLOB   NOT NULL CHECK (length(token_hash) = 32),
    running_sequence  BIGINT NOT NULL,                              -- as the device says
    running_digest    BLOB   NOT NULL CHECK (length(running_digest) = 32),
    keyset_version    BIGINT NOT NULL,
    boot              BIGINT NOT NULL,
    last_error        BIGINT NOT NULL,
    confirmed_sequence BIGINT NOT NULL,
    confirmed_digest  BLOB   NOT NULL CHECK (length(confirmed_digest) = 32),
    floor_epoch       BIGINT NOT NULL,
    floor_counter     BIGINT NOT NULL,
    rejected          BLOB   NOT NULL CHECK (length(rejected) % 32 = 0), -- digests of images, the oldest first
    retry_rejected    BIGINT NOT NULL,
    last_event        BIGINT NOT NULL,
    last_event_ms     BIGINT NOT NULL,
    last_detail       TEXT   NOT NULL,
    report_nonce      BIGINT NOT NULL,                              -- highest of a committed report
    check_nonce       BIGINT NOT NULL,
    offer_manifest    BLOB   NOT NULL CHECK (length(offer_manifest) = 32), -- zeros: no open offer
    offer_image       BLOB   NOT NULL CHECK (length(offer_image) = 32),
    offer_ms          BIGINT NOT NULL,
    offer_started_ms  BIGINT NOT NULL,                              -- 0: download not started
    added_ms          BIGINT NOT NULL,
    seen_ms           BIGINT NOT NULL,                              -- written behind
    revision          BIGINT NOT NULL,                              -- of the topic "devices" at the last change
    PRIMARY KEY (device_type, id)
);
CREATE INDEX devices_revision ON devices (revision);

CREATE TABLE enrolment_codes (
    hash        BLOB   NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    device_type TEXT   NOT NULL,
    device      TEXT   NOT NULL,                                    -- empty: the device may choose
    again       BIGINT NOT NULL,                                    -- 1: for a device that exists
    created_ms  BIGINT NOT NULL,
    created_by  TEXT   NOT NULL,
    expires_ms  BIGINT NOT NULL,
    spent_ms    BIGINT                                              -- NULL: not yet
);

CREATE TABLE operator_tokens (
    name       TEXT   NOT NULL PRIMARY KEY,
    hash       BLOB   NOT NULL UNIQUE CHECK (length(hash) = 32),
    role       BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    created_by TEXT   NOT NULL,
    expires_ms BIGINT                                               -- NULL: never
);
