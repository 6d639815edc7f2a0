package report

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/manifest"
)

// A Name is a device's type and id.
type Name struct{ DeviceType, ID string }

// String returns "type/id".
func (n Name) String() string { return n.DeviceType + "/" + n.ID }

// A Builder reads the audit log record by record, and makes a report of it.
type Builder struct {
	from, to time.Time
	chosen   map[Name]bool // nil: all
	devices  map[Name]*life
	versions map[published]string
	support  map[string]string // end of support by device type
	last     audit.Record
}

// running is an image that runs.
type running struct {
	Sequence manifest.Sequence `json:"sequence"`
	Digest   manifest.Digest   `json:"digest"`
}

// published is an image of a device type in the log.
type published struct {
	deviceType string
	running
}

// A life is what the log has told of a device so far.
type life struct {
	added, revoked time.Time
	periods        []Period
}

// NewBuilder returns a builder for the time from from to before to. chosen are
// the devices that the report is about, all of the log if it is nil.
func NewBuilder(from, to time.Time, chosen []Name) *Builder {
	b := &Builder{
		from: from.UTC(), to: to.UTC(), devices: map[Name]*life{}, versions: map[published]string{}, support: map[string]string{},
	}
	if chosen != nil {
		b.chosen = map[Name]bool{}
		for _, name := range chosen {
			b.chosen[name] = true
			b.devices[name] = &life{}
		}
	}
	return b
}

// Reading passes a log on to who verifies it, and reads what he takes.
func (b *Builder) Reading(log iter.Seq2[audit.Record, error]) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for r, err := range log {
			if !yield(r, err) || err != nil {
				return
			}
			if err := b.take(r); err != nil {
				yield(audit.Record{}, err)
				return
			}
		}
	}
}

// take reads the next record of the log.
func (b *Builder) take(r audit.Record) error {
	b.last = r
	if !r.Time.Before(b.to) {
		return nil
	}
	var err error
	switch name, isDevice := strings.CutPrefix(r.Object, "device:"); {
	case isDevice:
		err = b.takeDevice(name, r)
	case r.Action == "release.publish":
		err = b.takeRelease(r)
	case r.Action == "type.set":
		err = b.takeSettings(r)
	}
	if err != nil {
		return fmt.Errorf("audit record %d: %w", r.Seq, err)
	}
	return nil
}

func (b *Builder) takeDevice(text string, r audit.Record) error {
	deviceType, id, ok := strings.Cut(text, "/")
	if !ok {
		return nil
	}
	name := Name{deviceType, id}
	if b.chosen != nil && !b.chosen[name] {
		return nil
	}
	l, ok := b.devices[name]
	if !ok {
		l = &life{}
		b.devices[name] = l
	}
	switch r.Action {
	case "device.add", "device.enrol":
		if l.added.IsZero() {
			l.added = r.Time
		}
		return nil
	case "device.revoke":
		l.revoked = r.Time
		return nil
	}
	if r.Actor != r.Object { // somebody else's word about the device, or an unauthenticated claim
		return nil
	}
	event, isReport := strings.CutPrefix(r.Action, "device.report.")
	if !isReport && r.Action != "device.state" {
		return nil
	}
	if !isReport {
		event = "check"
	}
	return l.take(event, r)
}

// said is what a record has of what the device says that it runs.
type said struct {
	running
	Counts bool `json:"counts"`
	Late   bool `json:"late"`
}

// take reads a device's own word.
func (l *life) take(event string, r audit.Record) error {
	var s said
	if err := json.Unmarshal(r.After, &s); err != nil {
		return fmt.Errorf("what the device said cannot be read: %w", err)
	}
	if s.Late { // it is about what ran before
		return nil
	}
	evidence := Evidence{r.Seq, r.Hash, r.Time, event}
	var open *Period
	if n := len(l.periods); n > 0 {
		open = &l.periods[n-1]
	}
	if open == nil || open.Sequence != s.Sequence || open.Image != s.Digest {
		if open != nil {
			open.Until = r.Time
		}
		l.periods = append(l.periods, Period{Sequence: s.Sequence, Image: s.Digest, From: r.Time, First: evidence})
		open = &l.periods[len(l.periods)-1]
	}
	open.Last = evidence
	if event == "confirmed" && s.Counts && open.Proof == nil {
		open.Proof = &evidence
	}
	return nil
}

func (b *Builder) takeRelease(r audit.Record) error {
	var release struct {
		DeviceType string            `json:"device_type"`
		Version    string            `json:"version"`
		Sequence   manifest.Sequence `json:"sequence"`
		Image      manifest.Digest   `json:"image"`
	}
	if err := json.Unmarshal(r.After, &release); err != nil {
		return fmt.Errorf("what was published cannot be read: %w", err)
	}
	b.versions[published{release.DeviceType, running{release.Sequence, release.Image}}] = release.Version
	return nil
}

func (b *Builder) takeSettings(r audit.Record) error {
	var settings struct {
		DeviceType string    `json:"device_type"`
		SupportEnd time.Time `json:"support_end"`
	}
	if err := json.Unmarshal(r.After, &settings); err != nil {
		return fmt.Errorf("the settings of the type cannot be read: %w", err)
	}
	b.support[settings.DeviceType] = ""
	if !settings.SupportEnd.IsZero() {
		b.support[settings.DeviceType] = settings.SupportEnd.UTC().Format(time.DateOnly)
	}
	return nil
}

// Report returns the report of what was read, which a checkpoint of the last
// record vouches for.
func (b *Builder) Report(h Heading, signed []byte) *Report {
	h.Format = Format
	r := &Report{
		Heading: h, From: b.from, To: b.to, Complete: b.chosen == nil, Types: []Type{}, Devices: []Device{},
		Checkpoint: Checkpoint{b.last.Seq, b.last.Hash, signed},
	}
	types := map[string]*typeCount{}
	for name, l := range b.devices {
		d := Device{DeviceType: name.DeviceType, ID: name.ID, AddedAt: l.added, RevokedAt: l.revoked, Periods: []Period{}}
		for _, p := range l.periods {
			p.Version = b.versions[published{name.DeviceType, running{p.Sequence, p.Image}}]
			if p.Until.IsZero() || p.Until.After(b.from) {
				d.Periods = append(d.Periods, p)
			}
		}
		r.Devices = append(r.Devices, d)
		t, ok := types[name.DeviceType]
		if !ok {
			t = &typeCount{Type{DeviceType: name.DeviceType, SupportEnd: b.support[name.DeviceType]}, map[string]*VersionCount{}}
			types[name.DeviceType] = t
		}
		t.add(d)
	}
	slices.SortFunc(r.Devices, func(x, y Device) int {
		return cmp.Or(strings.Compare(x.DeviceType, y.DeviceType), strings.Compare(x.ID, y.ID))
	})
	for _, t := range types {
		r.Types = append(r.Types, t.result())
	}
	slices.SortFunc(r.Types, func(x, y Type) int { return strings.Compare(x.DeviceType, y.DeviceType) })
	return r
}

// A typeCount counts the devices of a type.
type typeCount struct {
	Type
	versions map[string]*VersionCount
}

func (t *typeCount) add(d Device) {
	t.Devices++
	if len(d.Periods) == 0 {
		t.Unheard++
		return
	}
	last := d.Periods[len(d.Periods)-1]
	count, ok := t.versions[last.Version]
	if !ok {
		count = &VersionCount{Version: last.Version}
		t.versions[last.Version] = count
	}
	count.Devices++
	if last.Proof != nil {
		count.Proven++
	}
}

func (t *typeCount) result() Type {
	t.AtEnd = []VersionCount{}
	for _, count := range t.versions {
		t.AtEnd = append(t.AtEnd, *count)
	}
	slices.SortFunc(t.AtEnd, func(a, b VersionCount) int {
		return cmp.Or(b.Devices-a.Devices, strings.Compare(a.Version, b.Version))
	})
	return t.Type
}
