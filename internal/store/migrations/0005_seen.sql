-- A small number for each device, and pages of what changes with every check: when a device was last seen and the nonce it sent.

-- +goose Up

ALTER TABLE devices ADD COLUMN number BIGINT NOT NULL DEFAULT 0; -- from 1, given once, never given again
UPDATE devices SET number = numbered.number
    FROM (SELECT device_type, id, ROW_NUMBER() OVER (ORDER BY device_type, id) AS number FROM devices) AS numbered
    WHERE devices.device_type = numbered.device_type AND devices.id = numbered.id;
CREATE UNIQUE INDEX devices_number ON devices (number);
INSERT INTO revisions (topic, revision) SELECT 'device numbers', COUNT(*) FROM devices HAVING COUNT(*) > 0;

-- A device stands on page number / 224. Its columns seen_ms and check_nonce are from now on what they were when its row was last
-- written; what counts is the higher of row and page.
CREATE TABLE seen_pages (
    page     BIGINT NOT NULL PRIMARY KEY,
    content  BLOB   NOT NULL, -- internal/fleet/seen_page.go
    revision BIGINT NOT NULL  -- of the topic "seen" when the page was written
);
