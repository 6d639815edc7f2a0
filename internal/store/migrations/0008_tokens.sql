-- Operators' tokens: what narrows them, when they were used and renewed.

-- +goose Up

ALTER TABLE operator_tokens ADD COLUMN scope TEXT NOT NULL DEFAULT '';  -- JSON; empty: the role alone bounds it
ALTER TABLE operator_tokens ADD COLUMN used_ms BIGINT NOT NULL DEFAULT 0; -- to the minute, written behind; 0: never
ALTER TABLE operator_tokens ADD COLUMN rotated_ms BIGINT NOT NULL DEFAULT 0; -- 0: never
