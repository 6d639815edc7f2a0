package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// Limits of an enrolment code.
const (
	DefaultCodeLife = 24 * time.Hour
	MaxCodeLife     = 30 * 24 * time.Hour
)

// codeGroups of four letters of base 32 make a code: 80 random bits, which
// nobody guesses within its life at one try a second.
const codeGroups = 4

// A NewCode asks for a one-time enrolment code.
type NewCode struct {
	DeviceType string
	Device     string        // empty: the device names itself, or the server does
	Again      bool          // the device may exist: its key generation rises, and it is let in again
	Valid      time.Duration // 0: DefaultCodeLife
}

// AddCode makes a one-time code. It is returned this once; the store has its
// hash.
func (f *Fleet) AddCode(ctx context.Context, by auth.Actor, n NewCode) (code string, expires time.Time, err error) {
	if n.Valid == 0 {
		n.Valid = DefaultCodeLife
	}
	if err := n.validate(); err != nil {
		return "", expires, fmt.Errorf("add enrolment code: %w: %v", ErrInvalid, err)
	}
	if _, ok := f.snapshot.Load().types[n.DeviceType]; !ok {
		return "", expires, fmt.Errorf("add enrolment code: device type %s: %w", n.DeviceType, ErrNoKeyset)
	}
	code = newCode()
	hash := hashCode(code)
	err = f.db.Change(ctx, by.Entry("enrolment.add", "type:"+n.DeviceType), func(tx *store.Tx) error {
		expires = tx.Now().Add(n.Valid)
		tx.Audit().After = audit.JSON(map[string]any{"device": n.Device, "again": n.Again, "expires": expires})
		_, err := tx.Exec(`INSERT INTO enrolment_codes (hash, device_type, device, again, created_ms, created_by, expires_ms)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			hash[:], n.DeviceType, n.Device, flag(n.Again), tx.Now().UnixMilli(), by.Name, expires.UnixMilli())
		return err
	})
	if err != nil {
		return "", expires, fmt.Errorf("add enrolment code: %w", err)
	}
	return code, expires, nil
}

func (n NewCode) validate() error {
	if err := manifest.CheckName(n.DeviceType); err != nil {
		return fmt.Errorf("device type: %w", err)
	}
	if n.Device != "" {
		if err := manifest.CheckName(n.Device); err != nil {
			return fmt.Errorf("device: %w", err)
		}
	}
	if n.Again && n.Device == "" {
		return errors.New("a code for a device that exists must name it")
	}
	if n.Valid < time.Second || n.Valid > MaxCodeLife {
		return fmt.Errorf("valid for %s: want 1 s to %s", n.Valid, MaxCodeLife)
	}
	return nil
}

func newCode() string {
	text := rand.Text()[:4*codeGroups]
	var groups []string
	for ; text != ""; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(groups, "-")
}

// hashCode accepts a code as people type it: in any case, with or without
// dashes and spaces.
func hashCode(code string) [sha256.Size]byte {
	code = strings.ToUpper(code)
	code = strings.NewReplacer("-", "", " ", "").Replace(code)
	return sha256.Sum256([]byte("secure-ota enrolment code " + code))
}

// An Enrolment is a device's request for its keys.
type Enrolment struct {
	Code             string `json:"code"`
	DeviceType       string `json:"device_type"` // empty: the code names it
	Device           string `json:"device"`      // empty: the code or the server names it
	HardwareRevision string `json:"hardware_revision"`
}

// Enrol spends a code and makes the device, in one transaction. A wrong, used
// or expired code, one of another device type, and one that does not allow
// what is asked are all ErrUnauthenticated.
func (f *Fleet) Enrol(ctx context.Context, req Enrolment, address string) (Provisioning, error) {
	d := &Device{Ref: Ref{req.DeviceType, req.Device}, Level: Keyed, Generation: 1, HardwareRevision: req.HardwareRevision}
	again, err := f.chooseID(ctx, d, req.Code)
	if err != nil {
		return Provisioning{}, fmt.Errorf("enrol device: %w", err)
	}
	if err := (NewDevice{Ref: d.Ref, Level: Keyed, HardwareRevision: d.HardwareRevision}).validate(); err != nil {
		return Provisioning{}, fmt.Errorf("enrol device: %w: %v", ErrInvalid, err)
	}
	if old, err := f.Device(d.Ref); err == nil {
		if !again || old.Level != Keyed {
			return Provisioning{}, fmt.Errorf("enrol device %s: it exists: %w", d.Ref, ErrUnauthenticated)
		}
		d.Generation = old.Generation + 1
	}
	p, _, err := f.prepare(ctx, d)
	if err != nil {
		return Provisioning{}, fmt.Errorf("enrol device %s: %w", d.Ref, err)
	}
	by := auth.Actor{Name: actorOf(d.Ref), Address: address}
	err = f.db.Change(ctx, by.Entry("device.enrol", "device:"+d.Ref.String()), func(tx *store.Tx) error {
		if err := spend(tx, req.Code, d.Ref); err != nil {
			return err
		}
		old, err := load(tx, d.Ref)
		if err == nil && old.Generation+1 != d.Generation || errors.Is(err, store.ErrNotFound) && d.Generation != 1 {
			return ErrUnauthenticated // somebody else enrolled it in between
		}
		switch {
		case err == nil:
			d.keep(old)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		return insert(tx, d, "")
	})
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return Provisioning{}, fmt.Errorf("enrol device %s: %w", d.Ref, err)
	case err != nil:
		return Provisioning{}, fmt.Errorf("enrol device %s: %w: %v", d.Ref, ErrStorage, err)
	}
	f.adopt(d)
	return p, nil
}

// keep takes over what outlives a new generation of a device's keys: what
// operators say of it. old is its row: memory may not know yet what another
// replica was told.
func (d *Device) keep(old *Device) {
	d.number, d.AddedAt, d.Labels = old.number, old.AddedAt, old.Labels
	d.Note, d.Hold, d.Pin, d.UpdateNow = old.Note, old.Hold, old.Pin, old.UpdateNow
}

// chooseID settles the device's type by the code, and its id by the code, the
// device, or chance, in this order.
func (f *Fleet) chooseID(ctx context.Context, d *Device, code string) (again bool, err error) {
	var named string
	err = f.db.View(ctx, func(tx *store.Tx) (err error) {
		d.DeviceType, named, again, err = findCode(tx, code, d.DeviceType)
		return err
	})
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return false, err
	case err != nil:
		return false, fmt.Errorf("%w: %v", ErrStorage, err)
	case named != "" && d.ID != "" && d.ID != named:
		return false, ErrUnauthenticated
	case named != "":
		d.ID = named
	case d.ID == "":
		d.ID = "d-" + strings.ToLower(rand.Text()[:16])
	}
	return again, nil
}

// findCode finds a code that can be spent, of a device type if one is given.
func findCode(tx *store.Tx, code, wanted string) (deviceType, device string, again bool, err error) {
	hash := hashCode(code)
	var flag int64
	err = tx.Get(`SELECT device_type, device, again FROM enrolment_codes
		WHERE hash = $1 AND ($2 = '' OR device_type = $2) AND spent_ms IS NULL AND expires_ms > $3`,
		[]any{hash[:], wanted, tx.Now().UnixMilli()}, &deviceType, &device, &flag)
	if errors.Is(err, store.ErrNotFound) {
		return "", "", false, ErrUnauthenticated
	}
	return deviceType, device, flag != 0, err
}

func spend(tx *store.Tx, code string, ref Ref) error {
	hash := hashCode(code)
	rows, err := tx.Exec(`UPDATE enrolment_codes SET spent_ms = $1
		WHERE hash = $2 AND device_type = $3 AND (device = '' OR device = $4) AND spent_ms IS NULL AND expires_ms > $1`,
		tx.Now().UnixMilli(), hash[:], ref.DeviceType, ref.ID)
	if err == nil && rows == 0 {
		return ErrUnauthenticated
	}
	return err
}

// DeviceID returns the identity under which the device's keys are derived.
func (d *Device) DeviceID() trust.DeviceID {
	return trust.DeviceID{Vendor: d.Vendor, DeviceType: d.DeviceType, ID: d.ID}
}
