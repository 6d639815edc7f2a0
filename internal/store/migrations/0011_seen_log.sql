-- A log before the pages of last-seen times: a page for each device that was seen would be written again and again.

-- +goose Up

CREATE TABLE seen_log (
    revision BIGINT NOT NULL PRIMARY KEY, -- of the topic "seen": each revision has its row until it is merged into the pages
    content  BLOB   NOT NULL              -- internal/fleet/sighting.go
);
