package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/trust"
)

// A KeysetPlan says what AddKeyset would do with a bundle.
type KeysetPlan struct {
	DeviceType string
	Held       trust.VerifiedKeyset   // the newest that is held; zero: the type is new
	Added      []trust.VerifiedKeyset // oldest first; none: all of them are held already
	Keys       trust.KeyRing          // that Added name
}

// PlanKeysets verifies the keysets of a bundle as AddKeyset does, and adds
// none. They have to be of one device type.
func (r *Repository) PlanKeysets(ctx context.Context, b trust.Bundle) (KeysetPlan, error) {
	if len(b.Keysets) == 0 {
		return KeysetPlan{}, fmt.Errorf("plan keysets: %w", ErrNoKeyset)
	}
	plan := KeysetPlan{Keys: trust.KeyRing{}}
	err := r.db.View(ctx, func(tx *store.Tx) error {
		for _, raw := range b.Keysets {
			if err := r.planKeyset(tx, &plan, raw, b.Keys); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return KeysetPlan{}, fmt.Errorf("plan keysets: %w", err)
	}
	return plan, nil
}

// planKeyset takes the next keyset of a bundle into a plan.
func (r *Repository) planKeyset(tx *store.Tx, plan *KeysetPlan, raw []byte, keys trust.KeyRing) error {
	claimed, _, err := trust.ParseKeyset(raw)
	if err != nil {
		return err
	}
	if plan.DeviceType != "" && plan.DeviceType != claimed.DeviceType {
		return fmt.Errorf("%w: %s and %s", ErrMixedTypes, plan.DeviceType, claimed.DeviceType)
	}
	ring, err := keyRing(tx, claimed, keys)
	if err != nil {
		return err
	}
	held, err := r.latestKeyset(tx, claimed.DeviceType)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	plan.DeviceType, plan.Held = claimed.DeviceType, held.VerifiedKeyset
	same, err := r.storedKeyset(tx, claimed.DeviceType, claimed.Version)
	if err == nil && sameKeyset(same.Keyset(), claimed) ||
		slices.ContainsFunc(plan.Added, func(a trust.VerifiedKeyset) bool { return sameKeyset(a.Keyset(), claimed) }) {
		return nil
	}
	if n := len(plan.Added); n > 0 {
		held = heldKeyset{plan.Added[n-1], plan.Keys}
	}
	added, err := held.follow(raw, ring)
	if err != nil {
		return err
	}
	plan.Added = append(plan.Added, added)
	for id, key := range ring {
		plan.Keys[id] = key
	}
	return nil
}
