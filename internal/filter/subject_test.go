package filter_test

import (
	"time"

	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/version"
)

// A subject is a device in tables.
type subject struct {
	texts    map[filter.Field]string
	labels   map[string]string
	versions map[filter.Field]version.Version
	numbers  map[filter.Field]uint64
	times    map[filter.Field]time.Time
	flags    map[filter.Field]bool
	now      time.Time
}

func newSubject(now time.Time) *subject {
	return &subject{
		map[filter.Field]string{}, map[string]string{}, map[filter.Field]version.Version{},
		map[filter.Field]uint64{}, map[filter.Field]time.Time{}, map[filter.Field]bool{}, now,
	}
}

func (s *subject) Text(f filter.Field) string             { return s.texts[f] }
func (s *subject) Label(key string) string                { return s.labels[key] }
func (s *subject) Version(f filter.Field) version.Version { return s.versions[f] }
func (s *subject) Number(f filter.Field) uint64           { return s.numbers[f] }
func (s *subject) Time(f filter.Field) time.Time          { return s.times[f] }
func (s *subject) Flag(f filter.Field) bool               { return s.flags[f] }
func (s *subject) Now() time.Time                         { return s.now }
