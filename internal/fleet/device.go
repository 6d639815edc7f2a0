package fleet

import (
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// A Ref finds a device: ids are unique within a device type.
type Ref struct {
	DeviceType string `json:"device_type"`
	ID         string `json:"device"`
}

// String returns "type/id".
func (r Ref) String() string { return r.DeviceType + "/" + r.ID }

// A Level says how a device authenticates. It is fixed when the device is
// added and never negotiated.
type Level uint8

// The levels.
const (
	Keyed     Level = 1 // with a device key: COSE_Mac0 only, JSON is refused
	TokenOnly Level = 2 // with a bearer token: JSON over TLS
)

var levels = map[Level]string{Keyed: "keyed", TokenOnly: "token"}

// String returns the level in a word.
func (l Level) String() string { return levels[l] }

// MarshalText returns the level in a word.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (l *Level) UnmarshalText(text []byte) error {
	for level, name := range levels {
		if name == string(text) {
			*l = level
			return nil
		}
	}
	return fmt.Errorf("level %q: want keyed or token", text)
}

// A Device is one row of the fleet, as it is committed. What it points to is
// shared, and not to be changed.
type Device struct {
	Ref
	Vendor           string
	Level            Level
	Generation       uint32 // of its keys, from 1
	Revoked          bool
	HardwareRevision string
	Labels           map[string]string // for people and for groups
	Token            auth.TokenHash    // of a TokenOnly device

	Note      string // the operators' own words
	Hold      bool   // nothing is offered to it
	Pin       string // the only version that is offered to it; empty: any
	UpdateNow bool   // rollouts do not make it wait; cleared when it confirms a release

	Installed     Running // as it last said itself
	KeysetVersion uint32
	Boot          trust.BootState
	LastError     trust.Reason
	Confirmed     Running           // the last release that proved itself: a report matched a release
	Floor         rollback.Floor    // of Confirmed
	Rejected      []manifest.Digest // images it refused for good, or reverted
	RetryRejected bool              // an operator told it to try those again

	LastEvent   trust.Event
	LastEventAt time.Time
	LastDetail  string

	// ReportNonce is the highest nonce of a committed report, CheckNonce of a
	// check: of one that changed something it is committed with that, of others
	// written behind, with LastSeen.
	ReportNonce uint64
	CheckNonce  uint64

	Offer    Offer
	AddedAt  time.Time
	LastSeen time.Time // written behind: may lag by seenInterval after a crash

	revision int64  // of the row: the higher, the newer
	number   uint32 // in the table, given by the store once; 0: not yet
}

// Running is an image that runs on a device, by the evidence of the device.
type Running struct {
	Sequence manifest.Sequence `json:"sequence"`
	Digest   manifest.Digest   `json:"digest"`
}

// An Offer is a release that a device was told to install and that has not
// come to an end yet. The zero value is no offer.
type Offer struct {
	Manifest  manifest.Digest // hash of the signed manifest
	Image     manifest.Digest
	At        time.Time
	StartedAt time.Time // of the download; zero: not yet
}

// IsZero reports whether there is no open offer.
func (o Offer) IsZero() bool { return o.Manifest.IsZero() }
