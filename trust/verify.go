package trust

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/manifest"
)

// MaxManifest is the longest signed manifest, in bytes.
const MaxManifest = 8192

// An Anchor is what a device is provisioned with: the ids of the roots it
// trusts and for whom it is. Everything else follows from it.
type Anchor struct {
	Vendor        string
	DeviceType    string
	Roots         []SignerKey
	RootThreshold int
}

// Anchor returns the anchor under which ks itself would be the first keyset.
func (ks *Keyset) Anchor() Anchor {
	return Anchor{ks.Vendor, ks.DeviceType, ks.Roots, ks.RootThreshold}
}

// A VerifiedKeyset is a keyset whose signatures hold. Only Open, OpenHeld and
// Accept make one; the zero value trusts nobody.
type VerifiedKeyset struct {
	keyset *Keyset
	raw    []byte
}

// Keyset returns what the keyset says. It is not to be changed.
func (v VerifiedKeyset) Keyset() *Keyset { return v.keyset }

// Bytes returns the object exactly as it was transferred.
func (v VerifiedKeyset) Bytes() []byte { return bytes.Clone(v.raw) }

// Hash returns the SHA-256 of the object's transferred bytes.
func (v VerifiedKeyset) Hash() manifest.Digest { return sha256.Sum256(v.raw) }

// IsZero reports whether v is the zero value.
func (v VerifiedKeyset) IsZero() bool { return v.keyset == nil }

// Open verifies a keyset against a device's anchor: signed by the anchor's
// roots and by its own, for the anchor's vendor and type.
func (a Anchor) Open(raw []byte, keys KeyRing) (VerifiedKeyset, error) {
	held := &Keyset{Vendor: a.Vendor, DeviceType: a.DeviceType, Roots: a.Roots, RootThreshold: a.RootThreshold}
	if held.RootThreshold < 1 || len(held.Roots) == 0 {
		return VerifiedKeyset{}, fmt.Errorf("verify keyset: %w: anchor without roots or threshold", ErrInvalidField)
	}
	return accept(held, raw, keys)
}

// OpenHeld reads back a keyset from a device's own storage. It checks the
// keyset against its own roots, which shows that the bytes are whole, and
// nothing more: for bytes that came from elsewhere use Accept.
func OpenHeld(raw []byte, keys KeyRing) (VerifiedKeyset, error) {
	ks, obj, err := parseKeyset(raw)
	if err != nil {
		return VerifiedKeyset{}, err
	}
	if err := ks.verifiedBy(obj, keys); err != nil {
		return VerifiedKeyset{}, err
	}
	return VerifiedKeyset{ks, bytes.Clone(raw)}, nil
}

// Accept applies the one rule of rotation: a keyset of a higher version is
// accepted if and only if the root threshold of the held keyset and its own
// root threshold signed it. Versions may be skipped when that holds.
func (v VerifiedKeyset) Accept(raw []byte, keys KeyRing) (VerifiedKeyset, error) {
	if v.keyset == nil {
		return VerifiedKeyset{}, fmt.Errorf("verify keyset: %w: no keyset is held", ErrInvalidField)
	}
	return accept(v.keyset, raw, keys)
}

func accept(held *Keyset, raw []byte, keys KeyRing) (VerifiedKeyset, error) {
	ks, obj, err := parseKeyset(raw)
	if err != nil {
		return VerifiedKeyset{}, err
	}
	if err := held.verifiedBy(obj, keys); err != nil {
		return VerifiedKeyset{}, fmt.Errorf("held keyset: %w", err)
	}
	if err := ks.verifiedBy(obj, keys); err != nil {
		return VerifiedKeyset{}, fmt.Errorf("new keyset: %w", err)
	}
	if ks.Vendor != held.Vendor {
		return VerifiedKeyset{}, fmt.Errorf("verify keyset: %w: %q, held %q", ErrWrongVendor, ks.Vendor, held.Vendor)
	}
	if ks.DeviceType != held.DeviceType {
		return VerifiedKeyset{}, fmt.Errorf("verify keyset: %w: %q, held %q", ErrWrongType, ks.DeviceType, held.DeviceType)
	}
	if ks.Version <= held.Version {
		return VerifiedKeyset{}, fmt.Errorf("verify keyset: %w: version %d, held %d", ErrKeysetNotNewer, ks.Version, held.Version)
	}
	return VerifiedKeyset{ks, bytes.Clone(raw)}, nil
}

func parseKeyset(raw []byte) (*Keyset, *cose.Signed, error) {
	obj, err := cose.ParseSigned(raw, cose.TypKeyset, MaxKeyset)
	if err != nil {
		return nil, nil, err
	}
	// The payload names the keys that have to have signed it: this much is
	// read before the signatures hold, and nothing is done with it.
	ks, err := DecodeKeyset(obj.Payload)
	return ks, obj, err
}

// A VerifiedManifest is a manifest that the release threshold of a keyset
// signed. Only VerifyManifest makes one; the zero value permits nothing.
type VerifiedManifest struct {
	manifest *manifest.Manifest
	raw      []byte
	identity manifest.Digest
}

// Manifest returns what the manifest says. It is not to be changed.
func (v VerifiedManifest) Manifest() *manifest.Manifest { return v.manifest }

// Bytes returns the object exactly as it was transferred.
func (v VerifiedManifest) Bytes() []byte { return bytes.Clone(v.raw) }

// Hash returns the SHA-256 of the object's transferred bytes: what responses
// and file names call "the hash of the manifest".
func (v VerifiedManifest) Hash() manifest.Digest { return sha256.Sum256(v.raw) }

// Identity returns the SHA-256 of the payload: the release's identity in
// store, audit and console, whoever signed it.
func (v VerifiedManifest) Identity() manifest.Digest { return v.identity }

// IsZero reports whether v is the zero value.
func (v VerifiedManifest) IsZero() bool { return v.manifest == nil }

// VerifyManifest checks that the release threshold of the keyset signed a
// manifest for the keyset's vendor and device type, each counted key in its
// own epoch. What the installed release allows is package rollback's.
func (v VerifiedKeyset) VerifyManifest(raw []byte, keys KeyRing) (VerifiedManifest, error) {
	if v.keyset == nil {
		return VerifiedManifest{}, fmt.Errorf("verify manifest: %w: no keyset is held", ErrNotEnoughSigners)
	}
	obj, err := cose.ParseSigned(raw, cose.TypManifest, MaxManifest)
	if err != nil {
		return VerifiedManifest{}, err
	}
	counted, err := countValid(obj, v.keyset.Releases, keys)
	if err != nil {
		return VerifiedManifest{}, err
	}
	if len(counted) < v.keyset.ReleaseThreshold {
		return VerifiedManifest{}, fmt.Errorf("verify manifest: %w: %d of the %d release signatures that keyset version %d asks for",
			ErrNotEnoughSigners, len(counted), v.keyset.ReleaseThreshold, v.keyset.Version)
	}
	m, err := manifest.Decode(obj.Payload)
	if err != nil {
		return VerifiedManifest{}, fmt.Errorf("verify manifest: %w", err)
	}
	for _, k := range counted {
		// Without this, a stolen old key could sign above the new key's epoch.
		if m.Sequence.Epoch() != k.Epoch {
			return VerifiedManifest{}, fmt.Errorf("verify manifest: %w: sequence %s signed by key %s of epoch %d",
				ErrWrongEpoch, m.Sequence, k.ID, k.Epoch)
		}
	}
	if m.Vendor != v.keyset.Vendor {
		return VerifiedManifest{}, fmt.Errorf("verify manifest: %w: %q, keyset is of %q", ErrWrongVendor, m.Vendor, v.keyset.Vendor)
	}
	if m.DeviceType != v.keyset.DeviceType {
		return VerifiedManifest{}, fmt.Errorf("verify manifest: %w: %q, keyset is of %q", ErrWrongType, m.DeviceType, v.keyset.DeviceType)
	}
	if m.KeysetVersion > v.keyset.Version {
		return VerifiedManifest{}, fmt.Errorf("verify manifest: %w: version %d, held %d", ErrKeysetTooOld, m.KeysetVersion, v.keyset.Version)
	}
	return VerifiedManifest{m, bytes.Clone(raw), sha256.Sum256(obj.Payload)}, nil
}

// UnsignedManifest returns m as a signed object without signatures.
func UnsignedManifest(m *manifest.Manifest) ([]byte, error) {
	payload, err := m.Encode()
	if err != nil {
		return nil, err
	}
	return unsigned(cose.TypManifest, MaxManifest, payload)
}

// SignManifest adds a release key's signature to a manifest, signed or not.
func SignManifest(raw []byte, s Signer) ([]byte, error) {
	// What cannot be decoded strictly is not signed.
	if _, _, err := ParseManifest(raw); err != nil {
		return nil, err
	}
	return addSignature(raw, cose.TypManifest, MaxManifest, s)
}

// MergeManifests unites the signatures made on copies of one manifest.
func MergeManifests(a, b []byte) ([]byte, error) { return merge(a, b, cose.TypManifest, MaxManifest) }

// ParseManifest decodes a signed manifest without verifying it, for showing it.
func ParseManifest(raw []byte) (*manifest.Manifest, []cose.Signature, error) {
	obj, err := cose.ParseSigned(raw, cose.TypManifest, MaxManifest)
	if err != nil {
		return nil, nil, err
	}
	m, err := manifest.Decode(obj.Payload)
	return m, obj.Signatures, err
}
