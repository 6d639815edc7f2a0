package backup

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// Settled is what ended with a restore.
type Settled struct {
	Tokens int64 `json:"tokens"` // of operators, their sessions with them
	Codes  int64 `json:"codes"`  // enrolment codes that were not used
}

// Settle ends what a restored database would let in by mistake: an operator's
// token or an enrolment code that was revoked, spent or replaced since the
// backup is in it as if nothing had happened. With keep they stay. Either way
// the audit log tells of the restore, so that whoever compares it with a newer
// checkpoint finds the place where the history parts.
func Settle(ctx context.Context, db *store.DB, by auth.Actor, m Manifest, keep bool) (s Settled, err error) {
	entry := by.Entry("server.restore", "backup:"+m.Created.Format("2006-01-02T15:04:05Z"))
	err = db.Change(ctx, entry, func(tx *store.Tx) error {
		if !keep {
			if s, err = end(tx); err != nil {
				return err
			}
		}
		tx.Audit().Before = audit.JSON(map[string]any{"record": m.AuditRecord, "hash": m.AuditHash})
		tx.Audit().After = audit.JSON(s)
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("settle what was restored: %w", err)
	}
	return s, nil
}

func end(tx *store.Tx) (s Settled, err error) {
	if _, err = tx.Exec(`DELETE FROM console_sessions`); err != nil {
		return s, err
	}
	if s.Tokens, err = tx.Exec(`DELETE FROM operator_tokens`); err != nil {
		return s, err
	}
	s.Codes, err = tx.Exec(`DELETE FROM enrolment_codes WHERE spent_ms IS NULL`)
	return s, err
}
