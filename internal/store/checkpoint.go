package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/trust"
)

// Checkpoint signs the head of the audit log if at least every records have
// been appended since the last checkpoint, or any and the last checkpoint is
// older than age, or of a time to come: a clock was set back. It returns the
// signed checkpoint, nil if none was due, and ErrDamaged if the log has become
// shorter than the last one says, or has another record there: whoever rewrites
// the log must not have it signed.
// The server calls it every few seconds, and once before it stops.
func (db *DB) Checkpoint(ctx context.Context, signer trust.Signer, every int64, age time.Duration) ([]byte, error) {
	var head audit.Record
	var lastSeq, lastMS int64
	var last, there []byte // the last checkpoint; the hash of its record as it is now
	err := db.View(ctx, func(tx *Tx) (err error) {
		if head, err = tx.AuditHead(); err != nil {
			return err
		}
		err = tx.Get(`SELECT seq, time_ms, object FROM audit_checkpoints ORDER BY seq DESC LIMIT 1`, nil, &lastSeq, &lastMS, &last)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil || head.Seq < lastSeq {
			return err
		}
		return tx.Get(`SELECT hash FROM audit_records WHERE seq = $1`, []any{lastSeq}, &there)
	})
	if err != nil {
		return nil, fmt.Errorf("audit checkpoint: %w", err)
	}
	if head.Seq < lastSeq { // silence here would be the alarm that never rings
		return nil, fmt.Errorf("audit checkpoint: %w: the audit log ends at record %d, but a checkpoint is of record %d", ErrDamaged, head.Seq, lastSeq)
	}
	if err := contradicts(last, there, signer); err != nil {
		return nil, fmt.Errorf("audit checkpoint: %w", err)
	}
	now := db.Now()
	since := now.Sub(time.UnixMilli(lastMS))
	if head.Seq == lastSeq || head.Seq-lastSeq < every && 0 <= since && since < age {
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

// contradicts holds the last checkpoint against the hash of its record as it
// stands in the log. One by another key is of a server that had that; only who
// has the key can judge it.
func contradicts(last, there []byte, signer trust.Signer) error {
	if last == nil {
		return nil
	}
	c, err := audit.OpenCheckpoint(last, signer.Public())
	if err == nil && !bytes.Equal(c.Hash[:], there) {
		return fmt.Errorf("%w: record %d is another one than the checkpoint of it says", ErrDamaged, c.Seq)
	}
	return nil
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
