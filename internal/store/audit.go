package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// Record appends one more record to the audit log in this transaction, beside
// the one that Change appends.
func (tx *Tx) Record(e audit.Entry) error {
	prev, err := tx.AuditHead()
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	r, err := audit.Follow(prev, tx.now(), e)
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	_, err = tx.Exec(`INSERT INTO audit_records (seq, time_ms, actor, action, object, address, before_json, after_json, prev_hash, hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		r.Seq, r.Time.UnixMilli(), r.Actor, r.Action, r.Object, r.Address, []byte(r.Before), []byte(r.After), r.PrevHash[:], r.Hash[:])
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	return nil
}

// AuditHead returns seq and hash of the newest record, zero if there is none.
func (tx *Tx) AuditHead() (audit.Record, error) {
	var r audit.Record
	var hash []byte
	err := tx.Get(`SELECT seq, hash FROM audit_records ORDER BY seq DESC LIMIT 1`, nil, &r.Seq, &hash)
	if errors.Is(err, ErrNotFound) {
		return audit.Record{}, nil
	}
	copy(r.Hash[:], hash)
	return r, err
}

const auditColumns = `SELECT seq, time_ms, actor, action, object, address, before_json, after_json, prev_hash, hash FROM audit_records`

// AuditRecords returns one page of the audit log.
func (db *DB) AuditRecords(ctx context.Context, f audit.Filter) ([]audit.Record, error) {
	where, args := auditWhere(f)
	order := "DESC"
	if f.Oldest || f.After > 0 {
		order = "ASC"
	}
	limit := f.Limit
	if limit <= 0 || limit > audit.MaxPage {
		limit = audit.MaxPage
	}
	args = append(args, limit)
	query := fmt.Sprintf("%s %s ORDER BY seq %s LIMIT $%d", auditColumns, where, order, len(args))
	var page []audit.Record
	err := db.View(ctx, func(tx *Tx) error {
		return tx.Each(query, args, func(scan func(...any) error) error {
			r, err := scanRecord(scan)
			page = append(page, r)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list audit records: %w", err)
	}
	return page, nil
}

func auditWhere(f audit.Filter) (where string, args []any) {
	var terms []string
	add := func(term string, arg any) {
		args = append(args, arg)
		terms = append(terms, fmt.Sprintf(term, len(args)))
	}
	if f.Actor != "" {
		add("actor = $%d", f.Actor)
	}
	if group, ok := strings.CutSuffix(f.Action, "."); ok {
		// A range, so that the index serves and no character is a wildcard:
		// "/" is the character after ".".
		add("action >= $%d", group+".")
		add("action < $%d", group+"/")
	} else if f.Action != "" {
		add("action = $%d", f.Action)
	}
	if f.Object != "" {
		add("object = $%d", f.Object)
	}
	if !f.Since.IsZero() {
		add("time_ms >= $%d", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("time_ms < $%d", f.Until.UnixMilli())
	}
	if f.After > 0 {
		add("seq > $%d", f.After)
	}
	if f.Before > 0 {
		add("seq < $%d", f.Before)
	}
	if len(terms) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(terms, " AND "), args
}

func scanRecord(scan func(...any) error) (audit.Record, error) {
	var r audit.Record
	var ms int64
	var before, after, prev, hash []byte
	err := scan(&r.Seq, &ms, &r.Actor, &r.Action, &r.Object, &r.Address, &before, &after, &prev, &hash)
	if err != nil {
		return r, err
	}
	r.Time = time.UnixMilli(ms).UTC()
	r.Before, r.After = before, after
	copy(r.PrevHash[:], prev)
	copy(r.Hash[:], hash)
	return r, nil
}

// auditChunk is how many records AllAuditRecords holds in memory.
const auditChunk = 500

// AllAuditRecords returns the log from its first record to the one that is the
// newest now, as audit.Verify and an export read it.
func (db *DB) AllAuditRecords(ctx context.Context) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		last, err := db.Generation(ctx)
		if err != nil {
			yield(audit.Record{}, err)
			return
		}
		// Pages instead of one long read, which would keep SQLite from
		// shortening its write-ahead log. From the lowest number there is, not
		// from 1: what somebody planted below must be seen.
		for after := int64(math.MinInt64); ; {
			page, err := db.auditPage(ctx, after, last)
			if err != nil {
				yield(audit.Record{}, err)
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < auditChunk {
				return
			}
			after = page[len(page)-1].Seq
		}
	}
}

func (db *DB) auditPage(ctx context.Context, after, last int64) (page []audit.Record, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.Each(auditColumns+` WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3`, []any{after, last, auditChunk},
			func(scan func(...any) error) error {
				r, err := scanRecord(scan)
				page = append(page, r)
				return err
			})
	})
	return page, err
}
