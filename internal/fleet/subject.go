package fleet

import (
	"time"

	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/version"
)

// A subject is a device as filters see it.
type subject struct {
	*Device
	snapshot *Snapshot
	now      time.Time
	retry    time.Duration
}

var _ filter.Subject = (*subject)(nil)

// Matches reports whether a filter selects a device now.
func (f *Fleet) Matches(selected *filter.Filter, d *Device) bool {
	return selected.IsZero() || selected.Match(f.subject(d))
}

func (f *Fleet) subject(d *Device) *subject {
	return &subject{d, f.snapshot.Load(), f.cfg.Now(), f.cfg.Retry}
}

// Text implements filter.Subject.
func (s *subject) Text(f filter.Field) string {
	switch f {
	case filter.Type:
		return s.DeviceType
	case filter.ID:
		return s.ID
	case filter.Hardware:
		return s.HardwareRevision
	case filter.Vendor:
		return s.Vendor
	case filter.Level:
		return s.Device.Level.String()
	case filter.State:
		return string(s.State(s.now, s.retry))
	case filter.Boot:
		return BootWord(s.Device.Boot)
	case filter.Note:
		return s.Device.Note
	}
	return ""
}

// Label implements filter.Subject.
func (s *subject) Label(key string) string { return s.Labels[key] }

// Version implements filter.Subject.
func (s *subject) Version(f filter.Field) version.Version {
	if f == filter.Pin {
		pin, _ := version.Parse(s.Device.Pin) // empty is none
		return pin
	}
	if r := s.snapshot.find(s.DeviceType, s.Installed); r != nil {
		return r.Manifest.Version
	}
	return version.Version{}
}

// Number implements filter.Subject.
func (s *subject) Number(f filter.Field) uint64 {
	switch f {
	case filter.Sequence:
		return uint64(s.Installed.Sequence)
	case filter.Keyset:
		return uint64(s.KeysetVersion)
	case filter.LastError:
		return uint64(s.Device.LastError)
	}
	return 0
}

// Time implements filter.Subject.
func (s *subject) Time(f filter.Field) time.Time {
	if f == filter.Added {
		return s.AddedAt
	}
	return s.LastSeen
}

// Flag implements filter.Subject.
func (s *subject) Flag(f filter.Field) bool {
	if f == filter.UpdateNow {
		return s.Device.UpdateNow
	}
	return s.Device.Hold
}

// Now implements filter.Subject.
func (s *subject) Now() time.Time { return s.now }
