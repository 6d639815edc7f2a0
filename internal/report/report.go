package report

import (
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/manifest"
)

// Format names the form of a report.
const Format = "secure-ota report 1"

// A Report says what ran on devices from a time to another. All of it but
// Heading follows from the audit log.
type Report struct {
	Heading
	From       time.Time  `json:"from"`
	To         time.Time  `json:"to"`       // what happened then or later is not in it
	Complete   bool       `json:"complete"` // every device of the log is in it; otherwise some that were chosen
	Types      []Type     `json:"types"`    // by name
	Devices    []Device   `json:"devices"`  // by type and id
	Checkpoint Checkpoint `json:"checkpoint"`
}

// A Heading is what the maker of the report says. The log does not prove it.
type Heading struct {
	Format string    `json:"format"`
	Vendor string    `json:"vendor"`
	Filter string    `json:"filter"` // that chose the devices when the report was made; empty: all
	MadeAt time.Time `json:"made_at"`
}

// A Checkpoint vouches for the log from which the report follows.
type Checkpoint struct {
	Seq    int64      `json:"seq"` // of the last record that was read
	Hash   audit.Hash `json:"hash"`
	Signed []byte     `json:"signed"` // COSE_Sign by the audit key
}

// A Type sums up the devices of a device type.
type Type struct {
	DeviceType string         `json:"device_type"`
	Devices    int            `json:"devices"`
	SupportEnd string         `json:"support_end,omitempty"` // a date, as it was set last before To
	AtEnd      []VersionCount `json:"at_end"`                // what ran at To, the most devices first
	Unheard    int            `json:"unheard"`               // devices that said nothing that touches the range
}

// A VersionCount counts devices that ran a version.
type VersionCount struct {
	Version string `json:"version"` // empty: an image that is not published
	Devices int    `json:"devices"`
	Proven  int    `json:"proven"` // by a report of the device's own that the image proved itself
}

// A Device says what ran on one device.
type Device struct {
	DeviceType string    `json:"device_type"`
	ID         string    `json:"device"`
	AddedAt    time.Time `json:"added_at,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	Periods    []Period  `json:"periods"` // that touch the range, in their order
}

// A Period is a time in which one image ran, as far as the device said.
type Period struct {
	Version  string            `json:"version"` // empty: not published by To
	Sequence manifest.Sequence `json:"sequence"`
	Image    manifest.Digest   `json:"image"`
	From     time.Time         `json:"from"`           // of the first evidence: it may have begun before
	Until    time.Time         `json:"until,omitzero"` // of the first evidence of something else; zero: it still ran at To, as far as is known
	First    Evidence          `json:"first"`
	Proof    *Evidence         `json:"proof"` // the device's own report that the image proved itself; null: there is none
	Last     Evidence          `json:"last"`  // the last time that the device said so, before To
}

// Evidence is a record of the audit log by which a device said what it runs.
type Evidence struct {
	Seq   int64      `json:"seq"`
	Hash  audit.Hash `json:"hash"`
	Time  time.Time  `json:"time"`
	Event string     `json:"event"` // "check", or the event of an authenticated report: installed, trial, confirmed …
}
