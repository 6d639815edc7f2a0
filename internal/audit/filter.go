package audit

import "time"

// MaxPage is the most records one page holds.
const MaxPage = 1000

// A Filter selects records. Zero fields select all.
type Filter struct {
	Actor  string    // exactly
	Action string    // exactly, or everything below with a trailing dot: "release."
	Object string    // exactly
	Since  time.Time // at or after
	Until  time.Time // before
	After  int64     // seq greater than this: oldest first, for following the log
	Before int64     // seq less than this: the next page of a newest-first listing
	Oldest bool      // oldest first instead of newest first
	Limit  int       // records; 0 or more than MaxPage means MaxPage
}
