package repository

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
)

// MaxReason is the longest reason for a withdrawal, in bytes.
const MaxReason = 1024

// Withdraw takes a release off the offer, for the reason given. Its image and
// its manifest stay: devices may be in the middle of them. Withdrawing twice
// changes nothing.
func (r *Repository) Withdraw(ctx context.Context, actor Actor, identity manifest.Digest, reason string) error {
	if len(reason) > MaxReason {
		return fmt.Errorf("withdraw release %s: reason of %d bytes, at most %d", identity, len(reason), MaxReason)
	}
	entry := audit.Entry{Actor: actor.Name, Address: actor.Address, Action: actionWithdraw, Object: releaseObject(identity),
		After: audit.JSON(map[string]string{"reason": reason})}
	err := r.db.Change(ctx, entry, func(tx *store.Tx) error {
		release, err := r.findRelease(tx, identity)
		if err != nil {
			return err
		}
		if release.Withdrawn() {
			return store.NoChange
		}
		_, err = tx.Exec(`UPDATE releases SET withdrawn_ms = $1, withdrawn_by = $2, withdrawn_reason = $3 WHERE identity = $4`,
			tx.Now().UnixMilli(), actor.Name, reason, identity[:])
		if err != nil {
			return err
		}
		return tx.Touch(Topic)
	})
	if err != nil {
		return fmt.Errorf("withdraw release %s: %w", identity, advise(err))
	}
	return nil
}
