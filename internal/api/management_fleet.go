package api

import (
	"context"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// FleetManagement is the part of Management that is about many devices, and
// about what operators say of them. Filters are written as docs/filters.md
// says; an error in one is found with errors.Is(err, filter.ErrInvalid).
type FleetManagement interface {
	// EditDevice changes labels, note, hold, pin and update-now of a device,
	// and returns it. Approver.
	EditDevice(ctx context.Context, ref fleet.Ref, edit fleet.Edit, why string) (Device, error)
	// EditDevices does the same with all devices that a filter selects.
	// Approver; a dry run: viewer.
	EditDevices(ctx context.Context, e EditDevices) (fleet.Edited, error)
	// ImportDevices adds and edits a page of devices, all or none of them. Of
	// those that are added it returns the secrets, which are shown this once.
	// Administrator.
	ImportDevices(ctx context.Context, in fleet.Import) (fleet.Imported, error)
	// DeviceHistory tells a device's life by its audit records, the newest
	// first. Viewer.
	DeviceHistory(ctx context.Context, ref fleet.Ref, q HistoryQuery) ([]LifeEvent, error)
	// FleetSummary counts devices by type, version, state, keyset and hardware
	// revision. Viewer.
	FleetSummary(ctx context.Context, q SummaryQuery) (fleet.Summary, error)
}

// EditDevices asks for the same edit of many devices.
type EditDevices struct {
	DeviceType string     `json:"device_type,omitempty"` // empty: of all types
	Filter     string     `json:"filter"`                // not empty: that all are meant has to be said, with type~*
	Edit       fleet.Edit `json:"edit"`
	Why        string     `json:"why,omitempty"`
	Limit      int        `json:"limit,omitempty"`   // more devices than this are refused; 0: DefaultEditLimit
	DryRun     bool       `json:"dry_run,omitempty"` // only say what would change
}

// SummaryQuery says which devices are counted, and by what.
type SummaryQuery struct {
	DeviceType string // empty: of all types
	Filter     string // empty: all of these
	Label      string // count the values of this label, too; empty: of none
}

// DefaultEditLimit is how many devices are edited at once unless the caller
// says that there may be more.
const DefaultEditLimit = 1000

// HistoryQuery bounds a device's history.
type HistoryQuery struct {
	Before int64 // seq: older than this record; 0: from the newest
	Limit  int   // 0: MaxPage
}

// A LifeEvent is one audit record about a device, in words.
type LifeEvent struct {
	Seq      int64      `json:"seq"` // of the record, which has the rest
	Time     time.Time  `json:"time"`
	Event    string     `json:"event"`    // one word: added, offered, confirmed …
	Words    string     `json:"words"`    // a sentence for people
	Evidence Evidence   `json:"evidence"` // whose word it is
	Actor    string     `json:"actor"`
	Address  string     `json:"address"`
	Hash     audit.Hash `json:"hash"` // of the record
}

// Evidence says whose word an event is, and so what it is worth.
type Evidence string

// Kinds of evidence.
const (
	EvidenceReport   Evidence = "report"   // the device's own report, authenticated by its key or token
	EvidenceCheck    Evidence = "check"    // what the device said of itself in an authenticated check
	EvidenceClaim    Evidence = "claim"    // somebody who was not authenticated said that he is the device
	EvidenceServer   Evidence = "server"   // what the server did
	EvidenceOperator Evidence = "operator" // what an operator did
)
