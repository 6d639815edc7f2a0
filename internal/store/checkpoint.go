package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/trust"
)

// Checkpoint signs the head of the audit log if at least every records have
// been appended since the last checkpoint, or any and the last checkpoint is
// older than age. It returns the signed checkpoint, nil if none was due, and
// ErrDamaged if the log has become shorter than a checkpoint says.
// The server calls it every few seconds, and once before it stops.
func (db *DB) Checkpoint(ctx context.Context, signer trust.Signer, every int64, age time.Duration) ([]byte, error) {
	var head audit.Record
	var lastSeq, lastMS int64
	err := db.View(ctx, func(tx *Tx) (err error) {
		if head, err = tx.AuditHead(); err != nil {
			return err
		}
		err = tx.Get(`SELECT seq, time_ms FROM audit_checkpoints ORDER BY seq DESC LIMIT 1`, nil, &lastSeq, &lastMS)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit checkpoint: %w", err)
	}
	if head.Seq < lastSeq { // silence here would be the alarm that never rings
		return nil, fmt.Errorf("audit checkpoint: %w: the audit log ends at record %d, but a checkpoint is of record %d", ErrDamaged, head.Seq, lastSeq)
	}
	now := db.Now()
	if head.Seq == lastSeq || head.Seq-lastSeq < every && now.Sub(time.UnixMilli(lastMS)) < age {
		return nil, nil
	}
	signed, err := audit.SignCheckpoint(audit.Checkpoint{Seq: head.Seq, Hash: head.Hash, Time: now}, signer)
	if err != nil {
		return nil, err
	}
	err = db.ChangeUnaudited(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`INSERT INTO audit_checkpoints (seq, time_ms, object) VALUES ($1, $2, $3) ON CONFLICT (seq) DO NOTHING`,
			head.Seq, now.UnixMilli(), signed)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit checkpoint: %w", err)
	}
	return signed, nil
}

// LatestCheckpoint returns the newest checkpoint that is stored, signed; nil if
// there is none.
func (db *DB) LatestCheckpoint(ctx context.Context) (signed []byte, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.Get(`SELECT object FROM audit_checkpoints ORDER BY seq DESC LIMIT 1`, nil, &signed)
	})
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return signed, err
}

// Checkpoints returns the stored checkpoints of records after seq, signed,
// oldest first.
func (db *DB) Checkpoints(ctx context.Context, seq int64) (signed [][]byte, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.Each(`SELECT object FROM audit_checkpoints WHERE seq > $1 ORDER BY seq`, []any{seq}, func(scan func(...any) error) error {
			var raw []byte
			err := scan(&raw)
			signed = append(signed, raw)
			return err
		})
	})
	return signed, err
}
