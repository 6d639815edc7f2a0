package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
)

// MaxNote is the longest note, in bytes.
const MaxNote = 1024

// actionEdit is what the audit log calls an Edit.
const actionEdit = "device.edit"

// An Edit is what operators change of a device. What is nil stays as it is, and
// only that is left out of its JSON: an empty note is one that is taken back.
type Edit struct {
	Labels    map[string]*string `json:"labels,omitzero"` // a nil value removes the label
	Note      *string            `json:"note,omitzero"`
	Hold      *bool              `json:"hold,omitzero"`
	Pin       *string            `json:"pin,omitzero"` // empty: any version again
	UpdateNow *bool              `json:"update_now,omitzero"`
}

// IsZero reports whether the edit changes nothing of any device.
func (e Edit) IsZero() bool {
	return len(e.Labels) == 0 && e.Note == nil && e.Hold == nil && e.Pin == nil && e.UpdateNow == nil
}

// Words lists what is changed, for people.
func (e Edit) Words() string {
	var parts []string
	say := func(yes bool, a, b string) {
		if !yes {
			a = b
		}
		parts = append(parts, a)
	}
	for _, key := range slices.Sorted(maps.Keys(e.Labels)) {
		if value := e.Labels[key]; value != nil {
			parts = append(parts, fmt.Sprintf("label %s=%s", key, *value))
		} else {
			parts = append(parts, "label "+key+" removed")
		}
	}
	if e.Note != nil {
		parts = append(parts, fmt.Sprintf("note %q", *e.Note))
	}
	if e.Hold != nil {
		say(*e.Hold, "held", "no longer held")
	}
	if e.Pin != nil {
		say(*e.Pin != "", "pinned to "+*e.Pin, "no longer pinned")
	}
	if e.UpdateNow != nil {
		say(*e.UpdateNow, "told to update now", "no longer told to update now")
	}
	return strings.Join(parts, ", ")
}

func (e Edit) validate() error {
	if e.IsZero() {
		return errors.New("nothing is to be changed")
	}
	for key, value := range e.Labels {
		text := ""
		if value != nil {
			text = *value
		}
		if err := checkLabel(key, text); err != nil {
			return err
		}
	}
	if e.Note != nil {
		return checkNote(*e.Note)
	}
	return nil
}

func checkLabel(key, value string) error {
	if err := manifest.CheckName(key); err != nil {
		return fmt.Errorf("label: %w", err)
	}
	if len(value) > MaxLabelValue {
		return fmt.Errorf("label %s: value of %d bytes, at most %d", key, len(value), MaxLabelValue)
	}
	return checkText("label "+key, value, unicode.IsPrint)
}

func checkNote(note string) error {
	if len(note) > MaxNote {
		return fmt.Errorf("note of %d bytes, at most %d", len(note), MaxNote)
	}
	return checkText("note", note, func(r rune) bool { return r == '\n' || unicode.IsPrint(r) })
}

// checkText keeps out what could act on the terminal or the page that shows it.
func checkText(what, text string, allowed func(rune) bool) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s: not UTF-8", what)
	}
	for _, r := range text {
		if !allowed(r) {
			return fmt.Errorf("%s: unprintable character %U", what, r)
		}
	}
	return nil
}

// apply returns the device with the edit made, and which part of the edit
// changes anything: before as an edit that would undo it, and after.
func (e Edit) apply(d Device) (edited Device, before, after Edit) {
	changeText := func(field *string, to *string, undo, do **string) {
		if old := *field; to != nil && *to != old {
			*undo, *do, *field = &old, to, *to
		}
	}
	changeFlag := func(field *bool, to *bool, undo, do **bool) {
		if old := *field; to != nil && *to != old {
			*undo, *do, *field = &old, to, *to
		}
	}
	changeText(&d.Note, e.Note, &before.Note, &after.Note)
	changeText(&d.Pin, e.Pin, &before.Pin, &after.Pin)
	changeFlag(&d.Hold, e.Hold, &before.Hold, &after.Hold)
	changeFlag(&d.UpdateNow, e.UpdateNow, &before.UpdateNow, &after.UpdateNow)
	d.Labels, before.Labels, after.Labels = relabel(d.Labels, e.Labels)
	return d, before, after
}

// relabel changes labels. The old ones belong to the device in memory.
func relabel(old map[string]string, changes map[string]*string) (labels map[string]string, before, after map[string]*string) {
	labels = maps.Clone(old)
	for key, to := range changes {
		was, had := old[key]
		if to == nil && !had || to != nil && had && *to == was {
			continue
		}
		if before == nil {
			before, after = map[string]*string{}, map[string]*string{}
		}
		before[key], after[key] = nil, to
		if had {
			before[key] = &was
		}
		if labels == nil {
			labels = map[string]string{}
		}
		if to == nil {
			delete(labels, key)
		} else {
			labels[key] = *to
		}
	}
	return labels, before, after
}

// checkEdited holds an edited device against what only the device and the
// published releases tell.
func (s *Snapshot) checkEdited(d *Device, edit Edit) error {
	if len(d.Labels) > MaxLabels {
		return fmt.Errorf("%w: %d labels, at most %d", ErrInvalid, len(d.Labels), MaxLabels)
	}
	if edit.Pin == nil || *edit.Pin == "" || s.offers(d.DeviceType, *edit.Pin) {
		return nil
	}
	return fmt.Errorf("pin to version %q: %w for device type %s", *edit.Pin, ErrNoRelease, d.DeviceType)
}

// offers reports whether a release of a version is published and not withdrawn.
// Devices are not offered those of components.
func (s *Snapshot) offers(deviceType, version string) bool {
	t, ok := s.types[deviceType]
	if !ok {
		return false
	}
	for _, r := range t.releases {
		if !r.Withdrawn && r.Manifest.Component == "" && r.Manifest.Version.String() == version {
			return true
		}
	}
	return false
}

// editRecord is an edit in the audit log.
type editRecord struct {
	Edit
	Why string `json:"why,omitempty"`
}

// Edit changes what operators say about a device. A pin to a version of which
// no release is on offer is refused (ErrNoRelease).
func (f *Fleet) Edit(ctx context.Context, by auth.Actor, ref Ref, edit Edit, why string) error {
	if err := edit.validate(); err != nil {
		return fmt.Errorf("edit device %s: %w: %v", ref, ErrInvalid, err)
	}
	snapshot := f.snapshot.Load()
	return f.operate(ctx, by, ref, actionEdit, func(tx *store.Tx, d *Device) error {
		return snapshot.edit(d, edit, why, tx.Audit())
	})
}

// edit changes a device and describes that in an audit entry, or returns
// store.NoChange.
func (s *Snapshot) edit(d *Device, edit Edit, why string, entry *audit.Entry) error {
	edited, before, after := edit.apply(*d)
	if after.IsZero() {
		return store.NoChange
	}
	if err := s.checkEdited(&edited, after); err != nil {
		return err
	}
	*d = edited
	entry.Before, entry.After = audit.JSON(before), audit.JSON(editRecord{after, why})
	return nil
}
