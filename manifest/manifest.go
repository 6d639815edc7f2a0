// Package manifest is what a release says: which image, for which devices, in
// which order, and within which bounds. It builds, encodes, strictly decodes
// and validates the payload of docs/spec/objects.md; it verifies nothing.
// Package trust turns signed bytes into a manifest that may be acted on.
package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/version"
)

// Format is the format version of the payload (field 0).
const Format = 1

// Limits of the payload.
const (
	MaxPayload           = 2048      // bytes of the encoded payload
	MaxHardwareRevisions = 16        // entries
	MaxDowngradeFrom     = 32        // entries
	MaxImageSize         = 1<<32 - 1 // bytes: the size is a u32
	MaxExpiry            = 1<<40 - 1 // seconds since 1970: fits every time type in use
)

// An Encoding says how the image is stored in the payload that is downloaded.
type Encoding uint8

// EncodingRaw is the image itself. Patches are no encoding: no key signs them.
const EncodingRaw Encoding = 0

// Flags of a manifest. A reader refuses flags that it does not know.
const (
	FlagDowngrade uint8 = 1 << 0 // older code under a higher sequence, for DowngradeFrom only
	FlagSecurity  uint8 = 1 << 1 // fixes a vulnerability: an operator may want to hurry
	knownFlags          = FlagDowngrade | FlagSecurity
)

// A Digest is a SHA-256.
type Digest [sha256.Size]byte

// String returns the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is unset.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText returns the digest in hex.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 64 hex digits.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	*d = parsed
	return err
}

// ParseDigest reads 64 lower case hex digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(d) || hex.EncodeToString(raw) != s {
		return d, fmt.Errorf("parse digest %q: want 64 lower case hex digits", s)
	}
	return Digest(raw), nil
}

// A Manifest is the payload of a signed manifest. Fields that are zero are
// absent on the wire where the comment says so.
type Manifest struct {
	Vendor            string          // empty only for devices provisioned without a vendor
	DeviceType        string          // never empty
	HardwareRevisions []string        // that may install it, sorted; none means all
	Component         string          // empty means the device's main firmware
	Sequence          Sequence        // total order of releases of one device type
	Version           version.Version // for people, and for refusing an accidental downgrade
	SecurityCounter   uint32          // rises when older code must never return
	ImageSize         uint32          // bytes
	ImageDigest       Digest          // of the image in the slot
	Encoding          Encoding
	KeysetVersion     uint32    // lowest keyset version that a device must hold
	Expires           time.Time // zero: never. Whole seconds
	Flags             uint8
	DowngradeFrom     []Sequence // installed sequences that a downgrade applies to, sorted
	OldestReturn      Sequence   // oldest sequence to which a device may return by itself; 0: none
	ReleaseDigest     Digest     // of the release document; zero: there is none
}

// payload is the wire form. The key of each field is normative.
type payload struct {
	Format            uint64     `cbor:"0,keyasint"`
	Vendor            string     `cbor:"1,keyasint"`
	DeviceType        string     `cbor:"2,keyasint"`
	HardwareRevisions []string   `cbor:"3,keyasint,omitempty"`
	Component         string     `cbor:"4,keyasint,omitempty"`
	Sequence          Sequence   `cbor:"5,keyasint"`
	Version           string     `cbor:"6,keyasint"`
	SecurityCounter   uint32     `cbor:"7,keyasint"`
	ImageSize         uint32     `cbor:"8,keyasint"`
	ImageDigest       []byte     `cbor:"9,keyasint"`
	Encoding          uint8      `cbor:"10,keyasint"`
	KeysetVersion     uint32     `cbor:"11,keyasint"`
	Expires           uint64     `cbor:"12,keyasint,omitempty"`
	Flags             uint8      `cbor:"13,keyasint,omitempty"`
	DowngradeFrom     []Sequence `cbor:"14,keyasint,omitempty"`
	OldestReturn      Sequence   `cbor:"15,keyasint,omitempty"`
	ReleaseDigest     []byte     `cbor:"16,keyasint,omitempty"`
}

// New returns a manifest of a release for a device type, with the image still
// to be named (SetImage) and everything else at its default.
func New(vendor, deviceType string, seq Sequence, v version.Version) *Manifest {
	return &Manifest{Vendor: vendor, DeviceType: deviceType, Sequence: seq, Version: v, KeysetVersion: 1}
}

// SetImage names the image by its digest and its size in bytes.
func (m *Manifest) SetImage(digest Digest, size int64) error {
	if size <= 0 || size > MaxImageSize {
		return fmt.Errorf("image of %d bytes: %w: want 1 to %d", size, reason.ImageSize, int64(MaxImageSize))
	}
	m.ImageDigest, m.ImageSize = digest, uint32(size)
	return nil
}

// Downgrade reports whether the manifest is an approved downgrade.
func (m *Manifest) Downgrade() bool { return m.Flags&FlagDowngrade != 0 }

// Security reports whether the release fixes a vulnerability.
func (m *Manifest) Security() bool { return m.Flags&FlagSecurity != 0 }

// Encode validates m and returns its payload in deterministic CBOR.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	w := payload{
		Format: Format, Vendor: m.Vendor, DeviceType: m.DeviceType, HardwareRevisions: m.HardwareRevisions,
		Component: m.Component, Sequence: m.Sequence, Version: m.Version.String(), SecurityCounter: m.SecurityCounter,
		ImageSize: m.ImageSize, ImageDigest: m.ImageDigest[:], Encoding: uint8(m.Encoding), KeysetVersion: m.KeysetVersion,
		Flags: m.Flags, DowngradeFrom: m.DowngradeFrom, OldestReturn: m.OldestReturn,
	}
	if !m.Expires.IsZero() {
		w.Expires = uint64(m.Expires.Unix())
	}
	if !m.ReleaseDigest.IsZero() {
		w.ReleaseDigest = m.ReleaseDigest[:]
	}
	raw, err := dcbor.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return raw, nil
}

// Decode strictly decodes a payload and validates it.
func Decode(raw []byte) (*Manifest, error) {
	if len(raw) > MaxPayload {
		return nil, fmt.Errorf("decode manifest: %w: %d bytes, at most %d", reason.TooLarge, len(raw), MaxPayload)
	}
	var w payload
	if err := dcbor.UnmarshalPayload(raw, Format, &w); err != nil {
		return nil, fmt.Errorf("decode manifest: %w", err)
	}
	v, err := version.Parse(w.Version)
	if err != nil {
		return nil, fmt.Errorf("decode manifest: %w: %v", reason.InvalidField, err)
	}
	if len(w.ImageDigest) != sha256.Size || (w.ReleaseDigest != nil && len(w.ReleaseDigest) != sha256.Size) {
		return nil, fmt.Errorf("decode manifest: %w: a digest is not %d bytes", reason.InvalidField, sha256.Size)
	}
	if w.Expires > MaxExpiry {
		return nil, fmt.Errorf("decode manifest: %w: expiry %d", reason.InvalidField, w.Expires)
	}
	m := &Manifest{
		Vendor: w.Vendor, DeviceType: w.DeviceType, HardwareRevisions: w.HardwareRevisions, Component: w.Component,
		Sequence: w.Sequence, Version: v, SecurityCounter: w.SecurityCounter, ImageSize: w.ImageSize,
		ImageDigest: Digest(w.ImageDigest), Encoding: Encoding(w.Encoding), KeysetVersion: w.KeysetVersion,
		Flags: w.Flags, DowngradeFrom: w.DowngradeFrom, OldestReturn: w.OldestReturn,
	}
	if w.Expires != 0 {
		m.Expires = time.Unix(int64(w.Expires), 0).UTC()
	}
	if w.ReleaseDigest != nil {
		m.ReleaseDigest = Digest(w.ReleaseDigest)
		if m.ReleaseDigest.IsZero() {
			return nil, fmt.Errorf("decode manifest: %w: release digest of zeros, which means that there is none", reason.InvalidField)
		}
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("decode manifest: %w", err)
	}
	return m, nil
}

// Validate checks every field against its bounds. Its error wraps a reason and
// names the field and what it should be.
func (m *Manifest) Validate() error {
	switch {
	case m.Vendor != "" && CheckName(m.Vendor) != nil:
		return invalid("vendor", CheckName(m.Vendor))
	case CheckName(m.DeviceType) != nil:
		return invalid("device type", CheckName(m.DeviceType))
	case m.Component != "" && CheckName(m.Component) != nil:
		return invalid("component", CheckName(m.Component))
	case len(m.HardwareRevisions) > MaxHardwareRevisions:
		return invalid("hardware revisions", fmt.Errorf("%d entries, at most %d", len(m.HardwareRevisions), MaxHardwareRevisions))
	case !strictlyAscending(m.HardwareRevisions):
		return invalid("hardware revisions", errors.New("must be sorted, each once"))
	case m.Sequence.Epoch() == 0 || m.Sequence.Number() == 0:
		return invalid("sequence", fmt.Errorf("%s: epoch and release number start at 1", m.Sequence))
	case m.Version.IsZero():
		return invalid("version", errors.New("is missing"))
	case m.ImageSize == 0:
		return fmt.Errorf("manifest: image size: %w: the image is empty", reason.ImageSize)
	case m.ImageDigest.IsZero():
		return invalid("image digest", errors.New("is missing"))
	case m.Encoding != EncodingRaw:
		return fmt.Errorf("manifest: payload encoding %d: %w", m.Encoding, reason.Unsupported)
	case m.KeysetVersion == 0:
		return invalid("keyset version", errors.New("starts at 1"))
	case m.Flags&^knownFlags != 0:
		return fmt.Errorf("manifest: flags %#x: %w", m.Flags, reason.Unsupported)
	case m.Downgrade() != (len(m.DowngradeFrom) > 0):
		return invalid("downgrade", errors.New("the flag and the sequences it applies to go together"))
	case len(m.DowngradeFrom) > MaxDowngradeFrom:
		return invalid("downgrade", fmt.Errorf("%d sequences, at most %d", len(m.DowngradeFrom), MaxDowngradeFrom))
	case !strictlyAscending(m.DowngradeFrom):
		return invalid("downgrade", errors.New("sequences must be sorted, each once"))
	case m.Downgrade() && m.DowngradeFrom[len(m.DowngradeFrom)-1] >= m.Sequence:
		return invalid("downgrade", errors.New("applies to a sequence that is not below its own"))
	case m.OldestReturn > m.Sequence:
		return invalid("oldest return", errors.New("is above the manifest's own sequence"))
	case !m.Expires.IsZero() && (m.Expires.Unix() <= 0 || m.Expires.Unix() > MaxExpiry):
		return invalid("expiry", fmt.Errorf("%s is out of range", m.Expires))
	}
	for _, hw := range m.HardwareRevisions {
		if err := CheckName(hw); err != nil {
			return invalid("hardware revision", err)
		}
	}
	return nil
}

func invalid(field string, err error) error {
	return fmt.Errorf("manifest: %s: %w: %v", field, reason.InvalidField, err)
}

func strictlyAscending[T ~string | ~uint64](s []T) bool {
	return slices.IsSorted(s) && len(slices.Compact(slices.Clone(s))) == len(s)
}

// FitsHardware reports whether a device of that hardware revision may install
// the release. A device without a revision takes only releases for all.
func (m *Manifest) FitsHardware(revision string) bool {
	return len(m.HardwareRevisions) == 0 || slices.Contains(m.HardwareRevisions, revision)
}
