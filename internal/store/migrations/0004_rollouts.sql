-- What an administrator decides for a device type, and rollouts: what each wants, where it stands, and the devices that it touched.

-- +goose Up

CREATE TABLE device_types (
    device_type    TEXT   NOT NULL PRIMARY KEY,
    offer          TEXT   NOT NULL,                                 -- newest, rollouts
    critical       BIGINT NOT NULL,                                 -- 1: a rollout needs a second person
    support_end_ms BIGINT NOT NULL                                  -- 0: not known
);

CREATE TABLE rollouts (
    id           TEXT   NOT NULL PRIMARY KEY,                       -- random: which devices come first differs from rollout to rollout
    name         TEXT   NOT NULL UNIQUE,
    device_type  TEXT   NOT NULL,
    release      BLOB   NOT NULL REFERENCES releases (identity),
    send_back    BLOB            REFERENCES releases (identity),
    spec         BLOB   NOT NULL,                                   -- JSON, as it was created
    facts        BLOB   NOT NULL,                                   -- JSON: what a check has to know of the two releases
    state        TEXT   NOT NULL,
    stage        BIGINT NOT NULL,                                   -- the open one, from 1; 0: none yet
    start_order  BIGINT NOT NULL,                                   -- the higher, the later it was started; 0: not yet
    created_ms   BIGINT NOT NULL,
    created_by   TEXT   NOT NULL,
    approved_ms  BIGINT NOT NULL,                                   -- 0: not yet, as in the other times
    approved_by  TEXT   NOT NULL,
    started_ms   BIGINT NOT NULL,
    started_by   TEXT   NOT NULL,
    changed_ms   BIGINT NOT NULL,                                   -- of the state
    changed_by   TEXT   NOT NULL,
    why          TEXT   NOT NULL,
    budget       BIGINT NOT NULL,                                   -- devices that may be touched and unproven
    touched      BIGINT NOT NULL,                                   -- devices in rollout_devices
    confirmed    BIGINT NOT NULL,                                   -- of them, with evidence of success
    unproven     BIGINT NOT NULL,                                   -- of them, without evidence of success and not excused
    ended        BIGINT NOT NULL,                                   -- of them, failed for good and not excused
    pace_us      BIGINT NOT NULL,                                   -- microseconds: when the next offer is due, of an even pace
    revision     BIGINT NOT NULL                                    -- of the topic "rollouts" at the last change
);
CREATE INDEX rollouts_revision ON rollouts (revision);

CREATE TABLE rollout_stages (
    rollout   TEXT   NOT NULL REFERENCES rollouts (id),
    stage     BIGINT NOT NULL,                                      -- from 1
    cut       BIGINT NOT NULL,                                      -- the last position within it, bits of an unsigned number
    opened_ms BIGINT NOT NULL,
    PRIMARY KEY (rollout, stage)
);

-- How many of the devices that were touched in a stage are in a state: what would otherwise be counted on every look.
CREATE TABLE rollout_counts (
    rollout  TEXT   NOT NULL REFERENCES rollouts (id),
    stage    BIGINT NOT NULL,
    state    TEXT   NOT NULL,
    evidence TEXT   NOT NULL,
    devices  BIGINT NOT NULL,
    PRIMARY KEY (rollout, stage, state, evidence)
);

CREATE TABLE rollout_devices (
    rollout     TEXT   NOT NULL REFERENCES rollouts (id),
    device_type TEXT   NOT NULL,
    device      TEXT   NOT NULL,
    stage       BIGINT NOT NULL,                                    -- that was open when it was first offered the release
    state       TEXT   NOT NULL,
    evidence    TEXT   NOT NULL,
    attempts    BIGINT NOT NULL,
    excused     BIGINT NOT NULL,                                    -- 1: it failed before the rollout was resumed
    sent_back   BIGINT NOT NULL,                                    -- 1: it runs the approved downgrade
    offered_ms  BIGINT NOT NULL,
    changed_ms  BIGINT NOT NULL,
    reason      TEXT   NOT NULL,
    revision    BIGINT NOT NULL,
    PRIMARY KEY (rollout, device)
);
CREATE INDEX rollout_devices_device ON rollout_devices (device_type, device);
CREATE INDEX rollout_devices_offered ON rollout_devices (rollout, state, offered_ms);
CREATE INDEX rollout_devices_revision ON rollout_devices (revision);
