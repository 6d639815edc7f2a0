package trust

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/manifest"
)

// KeysetFormat is the format version of the keyset payload (field 0).
const KeysetFormat = 1

// Limits of keysets.
const (
	MaxKeyset        = 8192 // bytes of the signed object
	MaxKeysetPayload = 2048 // bytes of its payload
	MaxRoots         = 8
	MaxReleases      = 8
)

// A SignerKey names a key that may sign, and the one algorithm it may use.
type SignerKey struct {
	ID        KeyID
	Algorithm Algorithm
	Epoch     uint32 // of a release key: the upper half of its sequences, from 1. Of a root: 0
}

// A Keyset says whom the devices of one type trust. It carries ids; the keys
// travel beside it.
type Keyset struct {
	Vendor           string
	DeviceType       string
	Version          uint32 // from 1
	Roots            []SignerKey
	RootThreshold    int
	Releases         []SignerKey
	ReleaseThreshold int
	SecurityFloor    uint32
	// ServiceSkipsFreshness allows the physical service port to install a
	// signed manifest without an authenticated response that names it.
	ServiceSkipsFreshness bool
}

type keysetPayload struct {
	Format                uint64         `cbor:"0,keyasint"`
	Vendor                string         `cbor:"1,keyasint"`
	DeviceType            string         `cbor:"2,keyasint"`
	Version               uint32         `cbor:"3,keyasint"`
	Roots                 []rootEntry    `cbor:"4,keyasint"`
	RootThreshold         uint8          `cbor:"5,keyasint"`
	Releases              []releaseEntry `cbor:"6,keyasint"`
	ReleaseThreshold      uint8          `cbor:"7,keyasint"`
	SecurityFloor         uint32         `cbor:"8,keyasint"`
	ServiceSkipsFreshness bool           `cbor:"9,keyasint,omitempty"`
}

type rootEntry struct {
	_         struct{} `cbor:",toarray"`
	ID        []byte
	Algorithm int64
}

type releaseEntry struct {
	_         struct{} `cbor:",toarray"`
	ID        []byte
	Algorithm int64
	Epoch     uint32
}

// Encode validates ks, sorts its keys by id and returns its payload.
func (ks *Keyset) Encode() ([]byte, error) {
	sortKeys(ks.Roots)
	sortKeys(ks.Releases)
	if err := ks.Validate(); err != nil {
		return nil, err
	}
	w := keysetPayload{
		Format: KeysetFormat, Vendor: ks.Vendor, DeviceType: ks.DeviceType, Version: ks.Version,
		RootThreshold: uint8(ks.RootThreshold), ReleaseThreshold: uint8(ks.ReleaseThreshold),
		SecurityFloor: ks.SecurityFloor, ServiceSkipsFreshness: ks.ServiceSkipsFreshness,
	}
	for _, k := range ks.Roots {
		w.Roots = append(w.Roots, rootEntry{ID: k.ID[:], Algorithm: int64(k.Algorithm)})
	}
	for _, k := range ks.Releases {
		w.Releases = append(w.Releases, releaseEntry{ID: k.ID[:], Algorithm: int64(k.Algorithm), Epoch: k.Epoch})
	}
	raw, err := dcbor.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode keyset: %w", err)
	}
	return raw, nil
}

// DecodeKeyset strictly decodes and validates a keyset payload. It verifies
// nothing.
func DecodeKeyset(raw []byte) (*Keyset, error) {
	if len(raw) > MaxKeysetPayload {
		return nil, fmt.Errorf("decode keyset: %w: %d bytes, at most %d", ErrTooLarge, len(raw), MaxKeysetPayload)
	}
	var w keysetPayload
	if err := dcbor.UnmarshalPayload(raw, KeysetFormat, &w); err != nil {
		return nil, fmt.Errorf("decode keyset: %w", err)
	}
	ks := &Keyset{
		Vendor: w.Vendor, DeviceType: w.DeviceType, Version: w.Version,
		RootThreshold: int(w.RootThreshold), ReleaseThreshold: int(w.ReleaseThreshold),
		SecurityFloor: w.SecurityFloor, ServiceSkipsFreshness: w.ServiceSkipsFreshness,
	}
	for _, e := range w.Roots {
		if len(e.ID) != sha256.Size {
			return nil, fmt.Errorf("decode keyset: root id: %w: %d bytes", ErrInvalidField, len(e.ID))
		}
		ks.Roots = append(ks.Roots, SignerKey{ID: KeyID(e.ID), Algorithm: Algorithm(e.Algorithm)})
	}
	for _, e := range w.Releases {
		if len(e.ID) != sha256.Size {
			return nil, fmt.Errorf("decode keyset: release key id: %w: %d bytes", ErrInvalidField, len(e.ID))
		}
		ks.Releases = append(ks.Releases, SignerKey{ID: KeyID(e.ID), Algorithm: Algorithm(e.Algorithm), Epoch: e.Epoch})
	}
	if err := ks.Validate(); err != nil {
		return nil, fmt.Errorf("decode keyset: %w", err)
	}
	return ks, nil
}

// Validate checks every field against its bounds. Its error names the field.
func (ks *Keyset) Validate() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("keyset: %w: %s", ErrInvalidField, fmt.Sprintf(format, args...))
	}
	if ks.Vendor != "" {
		if err := manifest.CheckName(ks.Vendor); err != nil {
			return invalid("vendor: %v", err)
		}
	}
	if err := manifest.CheckName(ks.DeviceType); err != nil {
		return invalid("device type: %v", err)
	}
	if ks.Version == 0 {
		return invalid("version starts at 1")
	}
	if n := len(ks.Roots); n == 0 || n > MaxRoots {
		return invalid("%d root keys, want 1 to %d", n, MaxRoots)
	}
	if n := len(ks.Releases); n == 0 || n > MaxReleases {
		return invalid("%d release keys, want 1 to %d", n, MaxReleases)
	}
	if ks.RootThreshold < 1 || ks.RootThreshold > len(ks.Roots) {
		return invalid("root threshold %d of %d keys", ks.RootThreshold, len(ks.Roots))
	}
	if ks.ReleaseThreshold < 1 || ks.ReleaseThreshold > len(ks.Releases) {
		return invalid("release threshold %d of %d keys", ks.ReleaseThreshold, len(ks.Releases))
	}
	if !ascendingKeys(ks.Roots) || !ascendingKeys(ks.Releases) {
		return invalid("keys must be in strictly ascending order of their kids, each once")
	}
	for _, r := range ks.Roots {
		if err := checkSignerKey(r); err != nil {
			return err
		}
	}
	return ks.validateReleases(invalid)
}

func (ks *Keyset) validateReleases(invalid func(string, ...any) error) error {
	perEpoch := map[uint32]int{}
	for _, r := range ks.Releases {
		if err := checkSignerKey(r); err != nil {
			return err
		}
		if r.Epoch == 0 {
			return invalid("key epoch of %s starts at 1", r.ID)
		}
		// One key, one use: a root that also releases would put the keyset's
		// offline key on the build machine.
		if slices.ContainsFunc(ks.Roots, func(root SignerKey) bool { return root.ID.KID() == r.ID.KID() }) {
			return invalid("key %s is both root and release key", r.ID)
		}
		perEpoch[r.Epoch]++
	}
	for _, n := range perEpoch {
		if n >= ks.ReleaseThreshold {
			return nil
		}
	}
	return invalid("no key epoch has the %d keys that the release threshold needs", ks.ReleaseThreshold)
}

func checkSignerKey(k SignerKey) error {
	switch k.Algorithm {
	case PS256, ESP256, Ed25519:
		return nil
	}
	return fmt.Errorf("keyset: key %s: %w: %s", k.ID, ErrUnsupported, k.Algorithm)
}

func sortKeys(keys []SignerKey) {
	slices.SortFunc(keys, func(a, b SignerKey) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}

// ascendingKeys compares kids, not ids: two keys of one kid could not both
// sign.
func ascendingKeys(keys []SignerKey) bool {
	for i := 1; i < len(keys); i++ {
		a, b := keys[i-1].ID.KID(), keys[i].ID.KID()
		if bytes.Compare(a[:], b[:]) >= 0 {
			return false
		}
	}
	return true
}

// UnsignedKeyset returns ks as a signed object without signatures, to be
// handed to the holders of the root keys in turn.
func UnsignedKeyset(ks *Keyset) ([]byte, error) {
	payload, err := ks.Encode()
	if err != nil {
		return nil, err
	}
	return unsigned(cose.TypKeyset, MaxKeyset, payload)
}

// SignKeyset adds a root's signature to a keyset, signed or not.
func SignKeyset(raw []byte, s Signer) ([]byte, error) {
	obj, err := cose.ParseSigned(raw, cose.TypKeyset, MaxKeyset)
	if err != nil {
		return nil, err
	}
	// What cannot be decoded strictly is not signed.
	if _, err := DecodeKeyset(obj.Payload); err != nil {
		return nil, err
	}
	return addSignature(raw, cose.TypKeyset, MaxKeyset, s)
}

// MergeKeysets unites the signatures that several people made, each on a copy
// of one keyset.
func MergeKeysets(a, b []byte) ([]byte, error) { return merge(a, b, cose.TypKeyset, MaxKeyset) }

// ParseKeyset decodes a signed keyset without verifying it, for showing it.
func ParseKeyset(raw []byte) (*Keyset, []cose.Signature, error) {
	obj, err := cose.ParseSigned(raw, cose.TypKeyset, MaxKeyset)
	if err != nil {
		return nil, nil, err
	}
	ks, err := DecodeKeyset(obj.Payload)
	return ks, obj.Signatures, err
}

// verifiedBy counts the roots of ks that signed obj, against ks's threshold.
func (ks *Keyset) verifiedBy(obj *cose.Signed, keys KeyRing) error {
	counted, err := countValid(obj, ks.Roots, keys)
	if err != nil {
		return err
	}
	if len(counted) < ks.RootThreshold {
		return fmt.Errorf("verify keyset: %w: %d of the %d root signatures that keyset version %d asks for",
			ErrNotEnoughSigners, len(counted), ks.RootThreshold, ks.Version)
	}
	return nil
}
