-- What operators say about a device.

-- +goose Up

ALTER TABLE devices ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN hold BIGINT NOT NULL DEFAULT 0;       -- 1: nothing is offered
ALTER TABLE devices ADD COLUMN pin TEXT NOT NULL DEFAULT '';         -- the only version that is offered; empty: any
ALTER TABLE devices ADD COLUMN update_now BIGINT NOT NULL DEFAULT 0; -- 1: rollouts do not make it wait
