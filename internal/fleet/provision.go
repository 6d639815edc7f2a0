package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// A Provisioning is what a device is given to begin with: who it is, its
// secret, and its anchor. It is shown once.
type Provisioning struct {
	Vendor     string   `json:"vendor"`
	DeviceType string   `json:"device_type"`
	Device     string   `json:"device"`
	Generation uint32   `json:"generation"`
	UpKey      string   `json:"up_key,omitempty"`   // hex
	DownKey    string   `json:"down_key,omitempty"` // hex
	Token      string   `json:"token,omitempty"`    // of a device without a key
	Keyset     []byte   `json:"keyset"`             // signed: the anchor
	Keys       [][]byte `json:"keys"`               // COSE_Keys that the keyset names
}

// String names the device and hides its secrets.
func (p Provisioning) String() string {
	return "[provisioning of " + p.DeviceType + "/" + p.Device + "]"
}

// GoString hides the secrets.
func (p Provisioning) GoString() string { return p.String() }

// LogValue hides the secrets.
func (p Provisioning) LogValue() slog.Value { return slog.StringValue(p.String()) }

// A NewDevice asks for a device.
type NewDevice struct {
	Ref
	Level            Level             `json:"level"` // 0: Keyed
	HardwareRevision string            `json:"hardware_revision,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	Note             string            `json:"note,omitempty"`
	Hold             bool              `json:"hold,omitempty"`
	Pin              string            `json:"pin,omitempty"`
}

// Limits of labels.
const (
	MaxLabels     = 32
	MaxLabelValue = 128 // bytes
)

func (n NewDevice) validate() error {
	if err := (trust.DeviceID{DeviceType: n.DeviceType, ID: n.ID}).Validate(); err != nil {
		return err
	}
	if n.HardwareRevision != "" {
		if err := manifest.CheckName(n.HardwareRevision); err != nil {
			return fmt.Errorf("hardware revision: %w", err)
		}
	}
	if levels[n.Level] == "" {
		return fmt.Errorf("level %d: want keyed or token", n.Level)
	}
	if len(n.Labels) > MaxLabels {
		return fmt.Errorf("%d labels, at most %d", len(n.Labels), MaxLabels)
	}
	for key, value := range n.Labels {
		if err := checkLabel(key, value); err != nil {
			return err
		}
	}
	return checkNote(n.Note)
}

func (n NewDevice) device() *Device {
	return &Device{
		Ref: n.Ref, Level: n.Level, Generation: 1, HardwareRevision: n.HardwareRevision,
		Labels: maps.Clone(n.Labels), Note: n.Note, Hold: n.Hold, Pin: n.Pin,
	}
}

// Add adds a device and returns what it is to be given. A device of that id
// must not exist (ErrExists), and its type must have a keyset (ErrNoKeyset).
func (f *Fleet) Add(ctx context.Context, by auth.Actor, n NewDevice) (Provisioning, error) {
	if n.Level == 0 {
		n.Level = Keyed
	}
	if err := n.validate(); err != nil {
		return Provisioning{}, fmt.Errorf("add device %s: %w: %v", n.Ref, ErrInvalid, err)
	}
	if n.Pin != "" && !f.snapshot.Load().offers(n.DeviceType, n.Pin) {
		return Provisioning{}, fmt.Errorf("add device %s: pin to version %q: %w", n.Ref, n.Pin, ErrNoRelease)
	}
	d := n.device()
	p, token, err := f.prepare(ctx, d)
	if err != nil {
		return Provisioning{}, fmt.Errorf("add device %s: %w", n.Ref, err)
	}
	err = f.db.Change(ctx, by.Entry("device.add", "device:"+n.String()), func(tx *store.Tx) error {
		if _, err := load(tx, n.Ref); !errors.Is(err, store.ErrNotFound) {
			return errors.Join(err, exists(err))
		}
		return insert(tx, d, token)
	})
	if err != nil {
		return Provisioning{}, fmt.Errorf("add device %s: %w", n.Ref, err)
	}
	f.adopt(d)
	return p, nil
}

// exists turns "was found" into ErrExists.
func exists(err error) error {
	if err == nil {
		return ErrExists
	}
	return nil
}

func insert(tx *store.Tx, d *Device, token auth.Token) error {
	tx.Audit().After = audit.JSON(recordOf(d))
	return insertRow(tx, d, token)
}

func insertRow(tx *store.Tx, d *Device, token auth.Token) error {
	if d.AddedAt.IsZero() {
		d.AddedAt = tx.Now()
	}
	if token != "" {
		d.Token = token.Hash()
	}
	return save(tx, d)
}

// addRecord is a new device in the audit log.
type addRecord struct {
	Level            Level             `json:"level"`
	Generation       uint32            `json:"generation"`
	HardwareRevision string            `json:"hardware_revision"`
	Labels           map[string]string `json:"labels"`
	Note             string            `json:"note,omitempty"`
	Hold             bool              `json:"hold,omitzero"`
	Pin              string            `json:"pin,omitempty"`
}

func recordOf(d *Device) addRecord {
	return addRecord{d.Level, d.Generation, d.HardwareRevision, d.Labels, d.Note, d.Hold, d.Pin}
}

// prepare completes d and makes its secrets and its anchor.
func (f *Fleet) prepare(ctx context.Context, d *Device) (Provisioning, auth.Token, error) {
	keyset, err := f.cfg.Repository.LatestKeyset(ctx, d.DeviceType)
	if errors.Is(err, repository.ErrNotFound) {
		return Provisioning{}, "", fmt.Errorf("device type %s: %w", d.DeviceType, ErrNoKeyset)
	}
	if err != nil {
		return Provisioning{}, "", err
	}
	ring, err := f.cfg.Repository.Keys(ctx, keyset.Keyset())
	if err != nil {
		return Provisioning{}, "", err
	}
	d.Vendor = keyset.Keyset().Vendor
	p := Provisioning{
		Vendor: d.Vendor, DeviceType: d.DeviceType, Device: d.ID, Generation: d.Generation, Keyset: keyset.Bytes(),
	}
	for _, key := range ring.Keys() {
		p.Keys = append(p.Keys, key.COSEKey())
	}
	if d.Level == TokenOnly {
		token := auth.NewToken(auth.DevicePrefix)
		p.Token = token.Reveal()
		return p, token, nil
	}
	if err := f.ensureMaster(ctx, d.DeviceType); err != nil {
		return Provisioning{}, "", err
	}
	keys, err := f.derive(d)
	if err != nil {
		return Provisioning{}, "", err
	}
	p.UpKey, p.DownKey = keys.Up.Hex(), keys.Down.Hex()
	return p, "", nil
}

func (f *Fleet) hasKeyed(ctx context.Context, deviceType string) (keyed bool, err error) {
	err = f.db.View(ctx, func(tx *store.Tx) error {
		var id string
		err := tx.Get(`SELECT id FROM devices WHERE device_type = $1 AND level = $2 LIMIT 1`, []any{deviceType, int64(Keyed)}, &id)
		keyed = err == nil
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return keyed, err
}

// Revoke shuts a device out: nothing it sends is accepted any more.
func (f *Fleet) Revoke(ctx context.Context, by auth.Actor, ref Ref, why string) error {
	return f.operate(ctx, by, ref, "device.revoke", func(tx *store.Tx, d *Device) error {
		if d.Revoked {
			return store.NoChange
		}
		d.Revoked, d.Offer = true, Offer{}
		tx.Audit().After = audit.JSON(map[string]string{"why": why})
		return nil
	})
}

// Retry tells a device, with its next answer, to try again what it rejected
// or reverted.
func (f *Fleet) Retry(ctx context.Context, by auth.Actor, ref Ref) error {
	return f.operate(ctx, by, ref, "device.retry", func(_ *store.Tx, d *Device) error {
		if d.RetryRejected {
			return store.NoChange
		}
		d.RetryRejected = true
		return nil
	})
}

func (f *Fleet) operate(ctx context.Context, by auth.Actor, ref Ref, action string, modify func(*store.Tx, *Device) error) error {
	if _, err := f.Device(ref); err != nil {
		return fmt.Errorf("%s %s: %w", action, ref, err)
	}
	if err := f.change(ctx, action, by, ref, modify); err != nil {
		return fmt.Errorf("%s %s: %w", action, ref, err)
	}
	return nil
}
