package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/trust"
)

// AddKeyset adds the keysets of a bundle, oldest first, with their keys. The
// first keyset of a device type is trusted because the caller says so: only
// who may introduce device types may call this. Every later one is accepted by
// the rule of rotation and nothing else. A keyset that is held already is
// skipped. It returns the newest keyset added or skipped.
func (r *Repository) AddKeyset(ctx context.Context, actor Actor, b trust.Bundle) (trust.VerifiedKeyset, error) {
	if len(b.Keysets) == 0 {
		return trust.VerifiedKeyset{}, fmt.Errorf("add keyset: %w", ErrNoKeyset)
	}
	var newest trust.VerifiedKeyset
	for _, raw := range b.Keysets {
		ks, err := r.addKeyset(ctx, actor, raw, b.Keys, true)
		if err != nil {
			return trust.VerifiedKeyset{}, fmt.Errorf("add keyset: %w", err)
		}
		newest = ks
	}
	return newest, nil
}

// addNewerKeysets adds those keysets of a release's bundle that are newer than
// what is held. Older ones travel in bundles for devices; they are no news.
func (r *Repository) addNewerKeysets(ctx context.Context, actor Actor, b trust.Bundle) error {
	for _, raw := range b.Keysets {
		ks, _, err := trust.ParseKeyset(raw)
		if err != nil {
			return err
		}
		held, err := r.LatestKeyset(ctx, ks.DeviceType)
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("device type %s: %w", ks.DeviceType, ErrUnknownType)
		}
		if err != nil {
			return err
		}
		if ks.Version <= held.Keyset().Version {
			continue
		}
		if _, err := r.addKeyset(ctx, actor, raw, b.Keys, false); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) addKeyset(ctx context.Context, actor Actor, raw []byte, keys trust.KeyRing, first bool) (trust.VerifiedKeyset, error) {
	var added trust.VerifiedKeyset
	entry := audit.Entry{Actor: actor.Name, Address: actor.Address, Action: "keyset.add"}
	err := r.db.Change(ctx, entry, func(tx *store.Tx) error {
		claimed, _, err := trust.ParseKeyset(raw)
		if err != nil {
			return err
		}
		ring, err := keyRing(tx, claimed, keys)
		if err != nil {
			return err
		}
		held, err := r.latestKeyset(tx, claimed.DeviceType)
		if errors.Is(err, ErrNotFound) {
			if !first {
				return fmt.Errorf("device type %s: %w", claimed.DeviceType, ErrUnknownType)
			}
			err = nil
		}
		if err != nil {
			return err
		}
		same, err := r.storedKeyset(tx, claimed.DeviceType, claimed.Version)
		if err == nil && sameKeyset(same.Keyset(), claimed) {
			added = same.VerifiedKeyset
			return store.NoChange
		}
		if added, err = held.follow(raw, ring); err != nil {
			return err
		}
		describeKeyset(tx.Audit(), held.VerifiedKeyset, added)
		return insertKeyset(tx, added, ring)
	})
	return added, err
}

// follow verifies the keyset that comes after a held one; after none, the first
// of its device type.
func (h heldKeyset) follow(raw []byte, ring trust.KeyRing) (trust.VerifiedKeyset, error) {
	if h.IsZero() {
		return trust.OpenHeld(raw, ring)
	}
	// The roots of the keyset before may be others than those of this one.
	return h.Accept(raw, h.with(ring))
}

// sameKeyset reports whether two keysets say the same, whoever signed them.
func sameKeyset(a, b *trust.Keyset) bool {
	encA, errA := a.Encode()
	encB, errB := b.Encode()
	return errA == nil && errB == nil && bytes.Equal(encA, encB)
}

// keyRing joins the keys that are held and those that are supplied, and
// refuses a keyset that names one that is in neither: nobody could be given
// that key later.
func keyRing(tx *store.Tx, ks *trust.Keyset, supplied trust.KeyRing) (trust.KeyRing, error) {
	ring := trust.KeyRing{}
	for _, k := range slices.Concat(ks.Roots, ks.Releases) {
		if key, ok := supplied[k.ID]; ok && key.ID() == k.ID {
			ring[k.ID] = key
			continue
		}
		key, err := publicKey(tx, k.ID)
		if errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("keyset version %d: %w: %s", ks.Version, ErrMissingKey, k.ID)
		}
		if err != nil {
			return nil, err
		}
		ring[k.ID] = key
	}
	return ring, nil
}

func describeKeyset(e *audit.Entry, held, added trust.VerifiedKeyset) {
	type state struct {
		Version uint32 `json:"version"`
		Hash    string `json:"hash"`
		Floor   uint32 `json:"security_floor"`
	}
	ks := added.Keyset()
	e.Object = "keyset:" + ks.DeviceType
	e.After = audit.JSON(state{ks.Version, added.Hash().String(), ks.SecurityFloor})
	if !held.IsZero() {
		e.Before = audit.JSON(state{held.Keyset().Version, held.Hash().String(), held.Keyset().SecurityFloor})
	}
}

func insertKeyset(tx *store.Tx, ks trust.VerifiedKeyset, ring trust.KeyRing) error {
	for _, key := range ring.Keys() {
		id := key.ID()
		if _, err := tx.Exec(`INSERT INTO public_keys (id, cose_key) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id[:], key.COSEKey()); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`INSERT INTO keysets (device_type, version, object, added_ms) VALUES ($1, $2, $3, $4)`,
		ks.Keyset().DeviceType, ks.Keyset().Version, ks.Bytes(), tx.Now().UnixMilli())
	if err != nil {
		return err
	}
	return tx.Touch(Topic)
}

// Keyset returns one version of a device type's keyset.
func (r *Repository) Keyset(ctx context.Context, deviceType string, version uint32) (ks trust.VerifiedKeyset, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		held, err := r.storedKeyset(tx, deviceType, version)
		ks = held.VerifiedKeyset
		return err
	})
	if err != nil {
		return ks, fmt.Errorf("keyset version %d of device type %s: %w", version, deviceType, err)
	}
	return ks, nil
}

// LatestKeyset returns the newest keyset of a device type.
func (r *Repository) LatestKeyset(ctx context.Context, deviceType string) (ks trust.VerifiedKeyset, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		held, err := r.latestKeyset(tx, deviceType)
		ks = held.VerifiedKeyset
		return err
	})
	if err != nil {
		return ks, fmt.Errorf("latest keyset of device type %s: %w", deviceType, err)
	}
	return ks, nil
}

// Keysets returns every keyset of a device type, oldest first.
func (r *Repository) Keysets(ctx context.Context, deviceType string) (all []trust.VerifiedKeyset, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		held, err := r.keysetsOf(tx, deviceType)
		for _, h := range held {
			all = append(all, h.VerifiedKeyset)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keysets of device type %s: %w", deviceType, err)
	}
	return all, nil
}

// Key returns a public key by its id.
func (r *Repository) Key(ctx context.Context, id trust.KeyID) (key trust.PublicKey, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		key, err = publicKey(tx, id)
		return err
	})
	return key, err
}

// Keys returns the public keys that a keyset names.
func (r *Repository) Keys(ctx context.Context, ks *trust.Keyset) (ring trust.KeyRing, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		ring, err = keysOf(tx, ks)
		return err
	})
	return ring, err
}

// Types returns the device types that a keyset is held of, sorted.
func (r *Repository) Types(ctx context.Context) (types []string, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		types, err = deviceTypes(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list device types: %w", err)
	}
	return types, nil
}
