package api

import (
	"context"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// KeysetManagement is the part of Management that is about whom devices trust.
type KeysetManagement interface {
	// AddKeyset publishes the keysets of a bundle, oldest first, and returns
	// the newest. Publisher; the first keyset of a device type, which is
	// trusted because the caller says so: Administrator.
	AddKeyset(ctx context.Context, bundle trust.Bundle) (Keyset, error)
	// CheckKeyset says what AddKeyset would do with a bundle of one device
	// type, and changes nothing. Roles as for AddKeyset.
	CheckKeyset(ctx context.Context, bundle trust.Bundle) (KeysetPlan, error)
	// Keysets lists keysets of a device type, of all types if it is empty,
	// the newest first. Viewer.
	Keysets(ctx context.Context, deviceType string) ([]Keyset, error)
}

// Keyset is a published keyset.
type Keyset struct {
	Vendor           string          `json:"vendor"`
	DeviceType       string          `json:"device_type"`
	Version          uint32          `json:"version"`
	Hash             manifest.Digest `json:"hash"` // of the signed keyset
	Roots            int             `json:"roots"`
	RootThreshold    int             `json:"root_threshold"`
	Releases         []ReleaseKey    `json:"release_keys"`
	ReleaseThreshold int             `json:"release_threshold"`
	SecurityFloor    uint32          `json:"security_floor"`
}

// ReleaseKey is a key that may sign releases.
type ReleaseKey struct {
	ID        trust.KeyID `json:"id"`
	Algorithm string      `json:"algorithm"`
	Epoch     uint32      `json:"epoch"`
}

// A KeysetPlan says what publishing keysets would change.
type KeysetPlan struct {
	DeviceType string               `json:"device_type"`
	Held       *Keyset              `json:"held"`     // the newest now; null: the type is new
	Added      []Keyset             `json:"added"`    // oldest first; none: all of them are here already
	Cohorts    []fleet.KeysetCohort `json:"cohorts"`  // devices by the keyset that they hold
	Stranded   int                  `json:"stranded"` // devices that do not follow to the newest
	Ends       []EndingRelease      `json:"ends"`     // on offer, and refused by devices that hold the newest
}

// An EndingRelease is a release that a keyset ends.
type EndingRelease struct {
	Identity manifest.Digest `json:"identity"`
	Version  version.Version `json:"version"`
	Why      string          `json:"why"`
}
