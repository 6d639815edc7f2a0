package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"

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
		return trust.VerifiedKeyset{}, errors.New("add keyset: the bundle holds none")
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
		held, err := latestKeyset(tx, claimed.DeviceType)
		switch {
		case errors.Is(err, ErrNotFound) && first:
			added, err = trust.OpenHeld(raw, ring)
		case errors.Is(err, ErrNotFound):
			return fmt.Errorf("device type %s: %w", claimed.DeviceType, ErrUnknownType)
		case err == nil:
			if added, err = storedKeyset(tx, claimed.DeviceType, claimed.Version); err == nil && sameKeyset(added.Keyset(), claimed) {
				return store.NoChange
			}
			added, err = held.Accept(raw, ring)
		}
		if err != nil {
			return err
		}
		describeKeyset(tx.Audit(), held, added)
		return insertKeyset(tx, added, ring)
	})
	return added, err
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
	for _, k := range append(append([]trust.SignerKey{}, ks.Roots...), ks.Releases...) {
		if key, ok := supplied[k.ID]; ok {
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
	// The roots of the keyset before may be others; they are held.
	return ring, allKeysOf(tx, ks.DeviceType, ring)
}

// allKeysOf adds the keys of the latest keyset of the type to ring.
func allKeysOf(tx *store.Tx, deviceType string, ring trust.KeyRing) error {
	held, err := latestKeyset(tx, deviceType)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	more, err := keysOf(tx, held.Keyset())
	for id, key := range more {
		ring[id] = key
	}
	return err
}

// keysOf returns the stored keys that a keyset names.
func keysOf(tx *store.Tx, ks *trust.Keyset) (trust.KeyRing, error) {
	ring := trust.KeyRing{}
	for _, list := range [][]trust.SignerKey{ks.Roots, ks.Releases} {
		for _, k := range list {
			key, err := publicKey(tx, k.ID)
			if err != nil {
				return nil, fmt.Errorf("keyset %s version %d: %w", ks.DeviceType, ks.Version, err)
			}
			ring[k.ID] = key
		}
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
		ks, err = storedKeyset(tx, deviceType, version)
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
		ks, err = latestKeyset(tx, deviceType)
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
		all, err = keysetsOf(tx, deviceType)
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

func deviceTypes(tx *store.Tx) (types []string, err error) {
	err = tx.Each(`SELECT DISTINCT device_type FROM keysets ORDER BY device_type`, nil, func(scan func(...any) error) error {
		var t string
		err := scan(&t)
		types = append(types, t)
		return err
	})
	return types, err
}

func latestKeyset(tx *store.Tx, deviceType string) (trust.VerifiedKeyset, error) {
	var raw []byte
	err := tx.Get(`SELECT object FROM keysets WHERE device_type = $1 ORDER BY version DESC LIMIT 1`, []any{deviceType}, &raw)
	if err != nil {
		return trust.VerifiedKeyset{}, err
	}
	return reopenKeyset(tx, raw)
}

func storedKeyset(tx *store.Tx, deviceType string, version uint32) (trust.VerifiedKeyset, error) {
	var raw []byte
	err := tx.Get(`SELECT object FROM keysets WHERE device_type = $1 AND version = $2`, []any{deviceType, version}, &raw)
	if err != nil {
		return trust.VerifiedKeyset{}, err
	}
	return reopenKeyset(tx, raw)
}

func keysetsOf(tx *store.Tx, deviceType string) (all []trust.VerifiedKeyset, err error) {
	var raws [][]byte
	err = tx.Each(`SELECT object FROM keysets WHERE device_type = $1 ORDER BY version`, []any{deviceType}, func(scan func(...any) error) error {
		var raw []byte
		err := scan(&raw)
		raws = append(raws, raw)
		return err
	})
	for _, raw := range raws {
		ks, reopenErr := reopenKeyset(tx, raw)
		if reopenErr != nil {
			return nil, reopenErr
		}
		all = append(all, ks)
	}
	return all, err
}

// reopenKeyset reads back what was accepted when it was stored.
func reopenKeyset(tx *store.Tx, raw []byte) (trust.VerifiedKeyset, error) {
	claimed, _, err := trust.ParseKeyset(raw)
	if err != nil {
		return trust.VerifiedKeyset{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	ring, err := keysOf(tx, claimed)
	if err != nil {
		return trust.VerifiedKeyset{}, err
	}
	ks, err := trust.OpenHeld(raw, ring)
	if err != nil {
		return trust.VerifiedKeyset{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return ks, nil
}

func publicKey(tx *store.Tx, id trust.KeyID) (trust.PublicKey, error) {
	var raw []byte
	if err := tx.Get(`SELECT cose_key FROM public_keys WHERE id = $1`, []any{id[:]}, &raw); err != nil {
		return trust.PublicKey{}, fmt.Errorf("public key %s: %w", id, err)
	}
	key, err := trust.ParseCOSEKey(raw)
	if err != nil || key.ID() != id {
		return trust.PublicKey{}, fmt.Errorf("public key %s: %w", id, errors.Join(ErrDamaged, err))
	}
	return key, nil
}
