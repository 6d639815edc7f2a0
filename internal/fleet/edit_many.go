package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/store"
)

// editPage is how many devices are edited in one transaction: all writers wait
// for it.
const editPage = 200

// maxExamples is how many devices an answer about many names.
const maxExamples = 5

// EditMany asks for the same edit of all devices that a filter selects.
type EditMany struct {
	DeviceType string // empty: of all types
	Filter     *filter.Filter
	Edit       Edit
	Why        string
	Limit      int  // more devices than this are refused (TooManyError)
	DryRun     bool // only say what would change

	// May is asked about the types of exactly the devices that are going to be
	// edited. Its error refuses all of them. Nil: no question.
	May func(deviceTypes []string) error
}

// Edited says what EditMany did, or would do.
type Edited struct {
	Matched  int   `json:"matched"`  // devices that the filter selects
	Changed  int   `json:"changed"`  // of which the edit changes something
	Examples []Ref `json:"examples"` // a few of these
}

// ErrTooManyDevices is wrapped by a TooManyError.
var ErrTooManyDevices = errors.New("more devices than the limit allows")

// A TooManyError refuses an edit of more devices than the caller expects.
type TooManyError struct{ Matched, Limit int }

// Error says how many there are.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("%v: the filter selects %d, the limit is %d", ErrTooManyDevices, e.Matched, e.Limit)
}

// Unwrap returns ErrTooManyDevices.
func (e *TooManyError) Unwrap() error { return ErrTooManyDevices }

// EditMany edits all devices that a filter selects now, page by page: each
// page is one transaction, with a record of the order and one of each device.
// After an error some pages are done; the same call again does the rest.
func (f *Fleet) EditMany(ctx context.Context, by auth.Actor, m EditMany) (Edited, error) {
	if err := m.Edit.validate(); err != nil {
		return Edited{}, fmt.Errorf("edit devices: %w: %v", ErrInvalid, err)
	}
	if err := f.whole(); err != nil {
		return Edited{}, fmt.Errorf("edit devices: %w", err)
	}
	refs, report, err := f.wouldEdit(m)
	switch {
	case err != nil:
		return Edited{}, fmt.Errorf("edit devices: %w", err)
	case m.DryRun:
		return report, nil
	case report.Matched > m.Limit:
		return Edited{}, fmt.Errorf("edit devices: %w", &TooManyError{report.Matched, m.Limit})
	}
	if m.May != nil {
		if err := m.May(typesOf(refs)); err != nil {
			return Edited{}, fmt.Errorf("edit devices: %w", err)
		}
	}
	report.Changed = 0
	for page := range slices.Chunk(refs, editPage) {
		n, err := f.editPage(ctx, by, m, page)
		report.Changed += n
		if err != nil {
			return report, fmt.Errorf("edit devices: %d of %d are done: %w", report.Changed, len(refs), err)
		}
	}
	return report, nil
}

// wouldEdit finds the devices of which the edit changes something. One that may
// not be edited so is an error: nothing is done by halves that is known to fail.
func (f *Fleet) wouldEdit(m EditMany) (refs []Ref, report Edited, err error) {
	report.Examples = []Ref{}
	snapshot := f.snapshot.Load()
	f.selected(m.DeviceType, m.Filter, func(d *Device) bool {
		report.Matched++
		edited, _, after := m.Edit.apply(*d)
		if after.IsZero() {
			return true
		}
		if err = snapshot.checkEdited(&edited, after); err != nil {
			err = fmt.Errorf("device %s: %w", d.Ref, err)
			return false
		}
		refs = append(refs, d.Ref)
		return true
	})
	report.Changed = len(refs)
	report.Examples = append(report.Examples, refs[:min(len(refs), maxExamples)]...)
	return refs, report, err
}

// orderRecord is an edit of many devices in the audit log.
type orderRecord struct {
	DeviceType string `json:"device_type,omitempty"`
	Filter     string `json:"filter"`
	Edit       Edit   `json:"edit"`
	Why        string `json:"why,omitempty"`
	Devices    int    `json:"devices"` // of them, in this transaction
}

// typesOf returns the device types of devices that stand in the order of these.
func typesOf(refs []Ref) (types []string) {
	for _, ref := range refs {
		if len(types) == 0 || types[len(types)-1] != ref.DeviceType {
			types = append(types, ref.DeviceType)
		}
	}
	return types
}

func (f *Fleet) editPage(ctx context.Context, by auth.Actor, m EditMany, refs []Ref) (changed int, err error) {
	var devices []*Device
	snapshot := f.snapshot.Load()
	order := by.Entry("devices.edit", "")
	err = f.db.Change(ctx, order, func(tx *store.Tx) error {
		for _, ref := range refs {
			d, err := load(tx, ref)
			if err != nil {
				return fmt.Errorf("device %s: %w", ref, err)
			}
			f.table.overlay(d)
			entry := by.Entry(actionEdit, "device:"+ref.String())
			if err = snapshot.edit(d, m.Edit, m.Why, &entry); errors.Is(err, store.NoChange) {
				continue
			}
			if err = errors.Join(err, save(tx, d), tx.Record(entry)); err != nil {
				return fmt.Errorf("device %s: %w", ref, err)
			}
			devices = append(devices, d)
		}
		if len(devices) == 0 {
			return store.NoChange
		}
		tx.Audit().After = audit.JSON(orderRecord{m.DeviceType, m.Filter.String(), m.Edit, m.Why, len(devices)})
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, d := range devices {
		f.adopt(d)
	}
	return len(devices), nil
}
