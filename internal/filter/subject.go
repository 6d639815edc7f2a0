package filter

import (
	"time"

	"github.com/secure-ota/secure-ota/version"
)

// A Subject is a device as a filter sees it. Each method is asked only for
// fields of its kind, and only for those that the filter tests.
type Subject interface {
	Text(f Field) string             // empty: none
	Label(key string) string         // empty: none
	Version(f Field) version.Version // zero: none, or unknown
	Number(f Field) uint64           // 0: none
	Time(f Field) time.Time          // zero: never
	Flag(f Field) bool
	Now() time.Time // the moment to which ages such as 7d refer
}
