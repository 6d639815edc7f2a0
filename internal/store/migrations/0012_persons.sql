-- Sessions of persons whom an identity provider vouches for. They have no token, and end at the latest when the session does.

-- +goose Up

ALTER TABLE console_sessions ADD COLUMN terms TEXT NOT NULL DEFAULT '';  -- the provider and what gives a role, as it was then; empty: the session is a token's
ALTER TABLE console_sessions ADD COLUMN person TEXT NOT NULL DEFAULT ''; -- name in the audit log
ALTER TABLE console_sessions ADD COLUMN role BIGINT NOT NULL DEFAULT 0;  -- a token's: of the token
