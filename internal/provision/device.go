package provision

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/cli/offline/cheader"
	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

var (
	// ErrToken is wrapped by the refusal of a device without a device key.
	ErrToken = errors.New("the device was added with a token, and libota needs device keys")
	// ErrKeys is wrapped by a keyset whose keys libota could not use.
	ErrKeys = errors.New("keys that libota cannot use")
)

// MaxFirmware is the longest firmware that can be put into an image, in bytes.
const MaxFirmware = 64 << 20

// Versions of the objects in the device area.
const (
	rowIdentity = 1
	rowAnchor   = 2
	rowPrepared = 3
	rowCOSEKey  = 4
)

// A Device is what one device is given. It holds the device's secret.
type Device struct {
	trust.DeviceID
	Hardware   string // revision; "": has none
	Generation uint32 // of the device's key

	keys      trust.DeviceKeys
	keyset    trust.VerifiedKeyset
	ring      trust.KeyRing
	signers   []trust.PublicKey // that it gets in the form of its verifier
	installed entry
	firmware  []byte
}

// New reads the provisioning that `ota device add` writes and enrolment answers
// with, and verifies its keyset. With roots the device gets the root keys too,
// not only their ids.
func New(provisioning []byte, roots bool) (*Device, error) {
	p, err := client.ParseProvisioning(provisioning)
	if err != nil {
		return nil, err
	}
	if p.Token != "" {
		return nil, fmt.Errorf("device %s: %w", p.Device, ErrToken)
	}
	d := &Device{
		DeviceID: trust.DeviceID{Vendor: p.Vendor, DeviceType: p.DeviceType, ID: p.Device},
		Hardware: p.HardwareRevision, Generation: p.Generation, ring: trust.KeyRing{},
	}
	up, errUp := trust.ParseDeviceKey(p.UpKey)
	down, errDown := trust.ParseDeviceKey(p.DownKey)
	if err := errors.Join(errUp, errDown); err != nil {
		return nil, err
	}
	d.keys = trust.DeviceKeys{Up: up, Down: down}
	for _, raw := range p.Keys {
		key, err := trust.ParseCOSEKey(raw)
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", p.Device, err)
		}
		d.ring[key.ID()] = key
	}
	if d.keyset, err = trust.OpenHeld(p.Keyset, d.ring); err != nil {
		return nil, fmt.Errorf("device %s: %w", p.Device, err)
	}
	return d, d.collect(roots)
}

// String names the device and hides its secret.
func (d *Device) String() string { return "[provisioning of " + d.DeviceType + "/" + d.ID + "]" }

// GoString hides the secret.
func (d *Device) GoString() string { return d.String() }

// LogValue hides the secret.
func (d *Device) LogValue() slog.Value { return slog.StringValue(d.String()) }

// collect finds the keys that the device gets.
func (d *Device) collect(roots bool) error {
	ks := d.keyset.Keyset()
	want := slices.Clone(ks.Releases)
	if roots {
		want = append(want, ks.Roots...)
	}
	bits := 0
	for _, signer := range want {
		key, ok := d.ring[signer.ID]
		if !ok {
			return fmt.Errorf("keyset version %d: %w: key %s is not at hand", ks.Version, ErrKeys, signer.ID)
		}
		if _, ok := key.Key().(*rsa.PublicKey); ok {
			if bits != 0 && bits != key.Bits() {
				return fmt.Errorf("keyset version %d: %w: RSA of %d and of %d bits; the built-in verifier is compiled for one size",
					ks.Version, ErrKeys, bits, key.Bits())
			}
			bits = key.Bits()
		}
		d.signers = append(d.signers, key)
	}
	return nil
}

// KeysetVersion returns the version of the keyset that the device gets.
func (d *Device) KeysetVersion() uint32 { return d.keyset.Keyset().Version }

// KeyIDs returns the ids of the keys that the device gets.
func (d *Device) KeyIDs() []trust.KeyID {
	var ids []trust.KeyID
	for _, key := range d.signers {
		ids = append(ids, key.ID())
	}
	return ids
}

// SetFirmware says what the device is made with: its image, and the signed
// manifest of it, which may be nil. The image alone is known to be there; by a
// manifest the device holds a release, and its rollback protection begins with it.
func (d *Device) SetFirmware(image, signedManifest []byte) error {
	d.firmware = image
	d.installed = entry{imageSize: uint32(len(image)), imageDigest: sha256.Sum256(image)}
	if len(image) == 0 {
		d.installed = entry{}
	}
	if signedManifest == nil {
		return nil
	}
	verified, err := d.keyset.VerifyManifest(signedManifest, d.ring)
	if err != nil {
		return err
	}
	m := verified.Manifest()
	if err := d.admit(m); err != nil {
		return fmt.Errorf("manifest of %s: %w", m.Version, err)
	}
	d.installed = entry{
		sequence: m.Sequence, oldestReturn: m.OldestReturn, counter: m.SecurityCounter, imageSize: m.ImageSize,
		imageDigest: m.ImageDigest, manifestHash: verified.Hash(), version: m.Version.String(),
	}
	return nil
}

// admit holds a manifest against the device and its firmware.
func (d *Device) admit(m *manifest.Manifest) error {
	switch {
	case m.Component != "":
		return fmt.Errorf("%w: %q, and the device's own firmware has none", trust.ErrWrongComponent, m.Component)
	case len(m.HardwareRevisions) > 0 && !slices.Contains(m.HardwareRevisions, d.Hardware):
		return fmt.Errorf("%w: the device is %q", trust.ErrWrongHardware, d.Hardware)
	case m.SecurityCounter < d.keyset.Keyset().SecurityFloor:
		return fmt.Errorf("%w: %d", trust.ErrBelowFloor, m.SecurityCounter)
	case len(d.firmware) > 0 && (d.installed.imageDigest != m.ImageDigest || d.installed.imageSize != m.ImageSize):
		return fmt.Errorf("the firmware: %w", trust.ErrImageDigest)
	}
	return nil
}

type identityPayload struct {
	Format     uint64 `cbor:"0,keyasint"`
	Vendor     string `cbor:"1,keyasint"`
	DeviceType string `cbor:"2,keyasint"`
	Device     string `cbor:"3,keyasint"`
	Generation uint32 `cbor:"4,keyasint"`
	Up         []byte `cbor:"5,keyasint"`
	Down       []byte `cbor:"6,keyasint"`
	Hardware   string `cbor:"7,keyasint,omitempty"`
}

// identity returns who the device is, with its secret.
func (d *Device) identity() ([]byte, error) {
	return dcbor.Marshal(identityPayload{
		Format: 1, Vendor: d.Vendor, DeviceType: d.DeviceType, Device: d.ID, Generation: d.Generation,
		Up: d.keys.Up[:], Down: d.keys.Down[:], Hardware: d.Hardware,
	})
}

type anchorPayload struct {
	Format     uint64      `cbor:"0,keyasint"`
	Vendor     string      `cbor:"1,keyasint"`
	DeviceType string      `cbor:"2,keyasint"`
	Roots      []rootEntry `cbor:"4,keyasint"`
	Threshold  int         `cbor:"5,keyasint"`
}

type rootEntry struct {
	_         struct{} `cbor:",toarray"`
	ID        []byte
	Algorithm int64
}

// anchor returns whom the device trusts before all keysets.
func (d *Device) anchor() ([]byte, error) {
	a := d.keyset.Keyset().Anchor()
	w := anchorPayload{Format: 1, Vendor: a.Vendor, DeviceType: a.DeviceType, Threshold: a.RootThreshold}
	for _, root := range a.Roots {
		w.Roots = append(w.Roots, rootEntry{ID: bytes.Clone(root.ID[:]), Algorithm: int64(root.Algorithm)})
	}
	return dcbor.Marshal(w)
}

// row returns the objects of the device area.
func (d *Device) row(f Flash) ([]byte, error) {
	identity, errIdentity := d.identity()
	anchor, errAnchor := d.anchor()
	if err := errors.Join(errIdentity, errAnchor); err != nil {
		return nil, fmt.Errorf("encode device %s: %w", d.ID, err)
	}
	row := f.appendObject(nil, identity, rowIdentity)
	row = f.appendObject(row, anchor, rowAnchor)
	for _, key := range d.signers {
		id := key.ID()
		if k, ok := key.Key().(*rsa.PublicKey); ok {
			row = f.appendObject(row, append(id[:], cheader.Prepare(k).Bytes()...), rowPrepared)
		} else {
			row = f.appendObject(row, append(id[:], key.COSEKey()...), rowCOSEKey)
		}
	}
	return row, nil
}
