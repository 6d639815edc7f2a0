package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// MaxImport is how many devices one Import holds: they are one transaction.
const MaxImport = 100

// An ImportDevice is a device as a list says it should be. Of what is nil the
// list says nothing.
type ImportDevice struct {
	Ref
	Vendor           *string            `json:"vendor,omitzero"` // must be the one of the type's keyset
	Level            *Level             `json:"level,omitzero"`  // nil: Keyed, or what it is
	HardwareRevision *string            `json:"hardware_revision,omitzero"`
	Labels           *map[string]string `json:"labels,omitzero"` // all of them: others are removed
	Note             *string            `json:"note,omitzero"`
	Hold             *bool              `json:"hold,omitzero"`
	Pin              *string            `json:"pin,omitzero"`
}

// An Import asks for a page of devices, which are added, or edited if they
// exist, all of them or none.
type Import struct {
	Devices []ImportDevice `json:"devices"`
	Update  bool           `json:"update,omitempty"`  // edit devices that exist, otherwise they are left alone
	DryRun  bool           `json:"dry_run,omitempty"` // only say what would be
}

// Imported says what became of an Import.
type Imported struct {
	Committed bool          `json:"committed"` // false: nothing was changed
	Devices   []ImportedRow `json:"devices"`   // in the order of the Import
}

// An ImportedRow says what became of one device.
type ImportedRow struct {
	Outcome      Outcome       `json:"outcome"`
	Error        string        `json:"error,omitempty"`        // of Refused
	Change       *Edit         `json:"change,omitempty"`       // of Updated: what changes
	Provisioning *Provisioning `json:"provisioning,omitempty"` // of Added, shown this once
}

// An Outcome is what became of a device in an Import.
type Outcome string

// The outcomes.
const (
	Added     Outcome = "added"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged" // it is already as the list says
	Existing  Outcome = "exists"    // it exists, and Update was not asked for
	Rejected  Outcome = "refused"   // so the whole page was
)

// An importRow is one device of a page on its way.
type importRow struct {
	ImportDevice
	exists bool
	fresh  *Device // that would be added
	token  auth.Token
	given  Provisioning
	change Edit // of one that exists
}

// Import adds and edits a page of devices in one transaction. That devices are
// refused is no error: the answer says which and why, and nothing was changed.
func (f *Fleet) Import(ctx context.Context, by auth.Actor, in Import) (Imported, error) {
	if len(in.Devices) == 0 || len(in.Devices) > MaxImport {
		return Imported{}, fmt.Errorf("import devices: %w: %d of them, want 1 to %d", ErrInvalid, len(in.Devices), MaxImport)
	}
	report := Imported{Devices: make([]ImportedRow, len(in.Devices))}
	rows := make([]importRow, len(in.Devices))
	refused := false
	for i, d := range in.Devices {
		rows[i].ImportDevice = d
		outcome, err := f.prepareImport(ctx, in, &rows[i], slices.ContainsFunc(in.Devices[:i], func(o ImportDevice) bool { return o.Ref == d.Ref }))
		switch {
		case isRefusal(err):
			outcome, refused = Rejected, true
			report.Devices[i].Error = err.Error()
		case err != nil:
			return Imported{}, fmt.Errorf("import device %s: %w", d.Ref, err)
		}
		report.Devices[i].Outcome = outcome
		if outcome == Updated {
			report.Devices[i].Change = &rows[i].change
		}
	}
	if refused || in.DryRun {
		return report, nil
	}
	if err := f.commitImport(ctx, by, rows, report.Devices); err != nil {
		return Imported{}, fmt.Errorf("import devices: %w", err)
	}
	report.Committed = true
	return report, nil
}

// isRefusal says whether an error is about the device, and not about the
// server.
func isRefusal(err error) bool {
	for _, refusal := range []error{ErrInvalid, ErrNoKeyset, ErrNoRelease, ErrExists} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

func (f *Fleet) prepareImport(ctx context.Context, in Import, row *importRow, twice bool) (Outcome, error) {
	if twice {
		return Rejected, fmt.Errorf("%w: the device is in the list twice", ErrInvalid)
	}
	if err := row.newDevice().validate(); err != nil {
		return Rejected, fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	d, exists, err := f.find(row.Ref)
	switch {
	case err != nil:
		return Rejected, err
	case !exists:
		return Added, f.prepareAdded(ctx, in.DryRun, row)
	}
	row.exists = true
	if err := row.contradicts(d); err != nil {
		return Rejected, err
	}
	if !in.Update {
		return Existing, nil
	}
	edited, _, after := row.editOf(d.Labels).apply(*d)
	if row.change = after; after.IsZero() {
		return Unchanged, nil
	}
	return Updated, f.snapshot.Load().checkEdited(&edited, after)
}

// prepareAdded makes a new device with its secrets, outside of any
// transaction. A dry run makes none, and no fleet master either.
func (f *Fleet) prepareAdded(ctx context.Context, dryRun bool, row *importRow) (err error) {
	n := row.newDevice()
	s := f.snapshot.Load()
	if _, ok := s.types[n.DeviceType]; !ok {
		return fmt.Errorf("device type %s: %w", n.DeviceType, ErrNoKeyset)
	}
	if n.Pin != "" && !s.offers(n.DeviceType, n.Pin) {
		return fmt.Errorf("pin to version %q: %w", n.Pin, ErrNoRelease)
	}
	row.fresh = n.device()
	if !dryRun {
		if row.given, row.token, err = f.prepare(ctx, row.fresh); err != nil {
			return err
		}
	} else if row.fresh.Vendor, err = f.vendorOf(ctx, n.DeviceType); err != nil {
		return err
	}
	return row.contradicts(row.fresh)
}

// contradicts refuses what a list says of a device and nobody can change.
func (row *importRow) contradicts(d *Device) error {
	if row.Vendor != nil && *row.Vendor != d.Vendor {
		return fmt.Errorf("%w: vendor %q, the device's is %q", ErrInvalid, *row.Vendor, d.Vendor)
	}
	if row.Level != nil && *row.Level != d.Level {
		return fmt.Errorf("%w: level %s, the device's is %s for good", ErrInvalid, *row.Level, d.Level)
	}
	return nil
}

func (row *importRow) newDevice() NewDevice {
	n := NewDevice{Ref: row.Ref, Level: Keyed}
	if row.Level != nil {
		n.Level = *row.Level
	}
	if row.HardwareRevision != nil {
		n.HardwareRevision = *row.HardwareRevision
	}
	if row.Labels != nil {
		n.Labels = *row.Labels
	}
	if row.Note != nil {
		n.Note = *row.Note
	}
	n.Hold = row.Hold != nil && *row.Hold
	if row.Pin != nil {
		n.Pin = *row.Pin
	}
	return n
}

// editOf returns the edit after which a device with those labels is as the
// list says.
func (row *importRow) editOf(labels map[string]string) Edit {
	e := Edit{Note: row.Note, Hold: row.Hold, Pin: row.Pin}
	if row.Labels == nil {
		return e
	}
	e.Labels = map[string]*string{}
	for key := range labels {
		e.Labels[key] = nil
	}
	for key, value := range *row.Labels {
		e.Labels[key] = &value
	}
	return e
}

func (f *Fleet) vendorOf(ctx context.Context, deviceType string) (string, error) {
	ks, err := f.cfg.Repository.LatestKeyset(ctx, deviceType)
	if err != nil {
		return "", err
	}
	return ks.Keyset().Vendor, nil
}

// commitImport writes a page. What others did in the meantime counts: a device
// that has come to exist is an error, and nothing of the page was done.
func (f *Fleet) commitImport(ctx context.Context, by auth.Actor, rows []importRow, report []ImportedRow) error {
	var changed []*Device
	snapshot := f.snapshot.Load()
	err := f.db.Change(ctx, by.Entry("devices.import", ""), func(tx *store.Tx) error {
		counts := map[Outcome]int{}
		for i := range rows {
			d, err := f.importOne(tx, by, snapshot, &rows[i], report[i].Outcome)
			if errors.Is(err, store.NoChange) {
				continue
			}
			if err != nil {
				return fmt.Errorf("device %s: %w", rows[i].Ref, err)
			}
			changed = append(changed, d)
			counts[report[i].Outcome]++
		}
		if len(changed) == 0 {
			return store.NoChange
		}
		tx.Audit().After = audit.JSON(counts)
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range changed {
		f.adopt(d)
	}
	for i := range rows {
		if report[i].Outcome == Added {
			report[i].Provisioning = &rows[i].given
		}
	}
	return nil
}

// importOne writes one device with its record, or returns store.NoChange.
func (f *Fleet) importOne(tx *store.Tx, by auth.Actor, s *Snapshot, row *importRow, outcome Outcome) (*Device, error) {
	switch outcome {
	case Added:
		if _, err := load(tx, row.Ref); !errors.Is(err, store.ErrNotFound) {
			return nil, errors.Join(err, exists(err))
		}
		entry := by.Entry("device.add", "device:"+row.Ref.String())
		entry.After = audit.JSON(recordOf(row.fresh))
		return row.fresh, errors.Join(insertRow(tx, row.fresh, row.token), tx.Record(entry))
	case Updated:
		d, err := load(tx, row.Ref)
		if err != nil {
			return nil, err
		}
		f.table.overlay(d)
		entry := by.Entry(actionEdit, "device:"+row.Ref.String())
		if err := s.edit(d, row.editOf(d.Labels), "", &entry); err != nil {
			return nil, err
		}
		return d, errors.Join(save(tx, d), tx.Record(entry))
	}
	return nil, store.NoChange
}
