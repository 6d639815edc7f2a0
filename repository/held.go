package repository

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// A heldKeyset is a stored keyset, verified again, with the keys it names.
type heldKeyset struct {
	trust.VerifiedKeyset
	keys trust.KeyRing
}

// with returns the keyset's keys and others. Each stands under its own id.
func (h heldKeyset) with(others trust.KeyRing) trust.KeyRing {
	all := maps.Clone(h.keys)
	maps.Copy(all, others)
	return all
}

func (r *Repository) latestKeyset(tx *store.Tx, deviceType string) (heldKeyset, error) {
	var raw []byte
	err := tx.Get(`SELECT object FROM keysets WHERE device_type = $1 ORDER BY version DESC LIMIT 1`, []any{deviceType}, &raw)
	if err != nil {
		return heldKeyset{}, err
	}
	return r.reopenKeyset(tx, raw)
}

func (r *Repository) storedKeyset(tx *store.Tx, deviceType string, version uint32) (heldKeyset, error) {
	var raw []byte
	err := tx.Get(`SELECT object FROM keysets WHERE device_type = $1 AND version = $2`, []any{deviceType, version}, &raw)
	if err != nil {
		return heldKeyset{}, err
	}
	return r.reopenKeyset(tx, raw)
}

func (r *Repository) keysetsOf(tx *store.Tx, deviceType string) (all []heldKeyset, err error) {
	var raws [][]byte
	err = tx.Each(`SELECT object FROM keysets WHERE device_type = $1 ORDER BY version`, []any{deviceType}, func(scan func(...any) error) error {
		var raw []byte
		err := scan(&raw)
		raws = append(raws, raw)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, raw := range raws {
		h, err := r.reopenKeyset(tx, raw)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

// reopenKeyset verifies a keyset that was accepted when it was stored. The
// same bytes are not verified twice: they name their keys by thumbprint, so
// nothing else could make them valid or invalid later.
func (r *Repository) reopenKeyset(tx *store.Tx, raw []byte) (heldKeyset, error) {
	hash := manifest.Digest(sha256.Sum256(raw))
	if known, ok := r.keysets.Load(hash); ok {
		return known.(heldKeyset), nil
	}
	claimed, _, err := trust.ParseKeyset(raw)
	if err != nil {
		return heldKeyset{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	keys, err := keysOf(tx, claimed)
	if err != nil {
		return heldKeyset{}, incomplete(err)
	}
	ks, err := trust.OpenHeld(raw, keys)
	if err != nil {
		return heldKeyset{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	h := heldKeyset{ks, keys}
	r.keysets.Store(hash, h)
	return h, nil
}

// incomplete makes damage of "not found": where a row refers to another, the
// absence of that one must not pass for the absence of the first. A device type
// whose keyset cannot be read would be open to anybody's first keyset.
func incomplete(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return err
}

// A verification is what makes a manifest's verdict: its bytes and the
// keyset's.
type verification struct{ manifest, keyset manifest.Digest }

// verifyManifest verifies a manifest under a keyset, and remembers that it
// did.
func (r *Repository) verifyManifest(h heldKeyset, raw []byte) (trust.VerifiedManifest, error) {
	key := verification{sha256.Sum256(raw), h.Hash()}
	if known, ok := r.manifests.Load(key); ok {
		return known.(trust.VerifiedManifest), nil
	}
	verified, err := h.VerifyManifest(raw, h.keys)
	if err == nil {
		r.remember(key, verified)
	}
	return verified, err
}

// maxRemembered is how many verified manifests are remembered. One manifest has
// any number of forms, for signatures that nobody knows may be added to it.
const maxRemembered = 4096

func (r *Repository) remember(key verification, verified trust.VerifiedManifest) {
	if r.remembered.Add(1) > maxRemembered {
		r.manifests.Clear()
		r.remembered.Store(1)
	}
	r.manifests.Store(key, verified)
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

// keysOf returns the stored keys that a keyset names.
func keysOf(tx *store.Tx, ks *trust.Keyset) (trust.KeyRing, error) {
	ring := trust.KeyRing{}
	for _, k := range slices.Concat(ks.Roots, ks.Releases) {
		key, err := publicKey(tx, k.ID)
		if err != nil {
			return nil, fmt.Errorf("keyset %s version %d: %w", ks.DeviceType, ks.Version, err)
		}
		ring[k.ID] = key
	}
	return ring, nil
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
