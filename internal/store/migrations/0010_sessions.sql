-- Operators' sessions in the console. Of a session's id there is the SHA-256; a session lives no longer than the token it was opened with.

-- +goose Up

CREATE TABLE console_sessions (
    hash       BLOB   NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    token_hash BLOB   NOT NULL CHECK (length(token_hash) = 32), -- of operator_tokens; no row there: the session is over
    opened_ms  BIGINT NOT NULL,
    used_ms    BIGINT NOT NULL,                                 -- written at most once a minute
    expires_ms BIGINT NOT NULL                                  -- whatever happens
);
CREATE INDEX console_sessions_expires ON console_sessions (expires_ms);
