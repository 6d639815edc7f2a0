package rollback

import (
	"fmt"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/version"
)

// Limits of what is remembered. The oldest is forgotten first.
const (
	MaxHistory  = 256
	MaxRejected = 16
	MaxPermits  = 64
)

// An Entry is one release as it was installed.
type Entry struct {
	Sequence        manifest.Sequence `json:"sequence"`
	Version         version.Version   `json:"version"`
	SecurityCounter uint32            `json:"security_counter"`
	ImageDigest     manifest.Digest   `json:"image_digest"`
	ImageSize       uint32            `json:"image_size"`
	ManifestHash    manifest.Digest   `json:"manifest_hash"`
	OldestReturn    manifest.Sequence `json:"oldest_return"`
	ConfirmedAt     time.Time         `json:"confirmed_at,omitzero"` // zero: never confirmed
}

// EntryOf returns the entry of a manifest whose transferred bytes hash to hash.
func EntryOf(m *manifest.Manifest, hash manifest.Digest) Entry {
	return Entry{
		Sequence: m.Sequence, Version: m.Version, SecurityCounter: m.SecurityCounter, ImageDigest: m.ImageDigest,
		ImageSize: m.ImageSize, ManifestHash: hash, OldestReturn: m.OldestReturn,
	}
}

// A Floor is the lowest security counter that may be installed within a key
// epoch. A newer epoch starts again from the keyset's floor, which repairs a
// counter that a stolen key drove to its maximum.
type Floor struct {
	Epoch   uint32 `json:"epoch"`
	Counter uint32 `json:"counter"`
}

// A State is what a device, or the author of a device type, remembers about
// versions. The zero value is a device that has installed nothing. A State is
// changed only by its methods and stored as a whole.
type State struct {
	Installed      Entry             `json:"installed,omitzero"` // the running, confirmed release
	Floor          Floor             `json:"floor"`
	MinimumVersion version.Version   `json:"minimum_version,omitzero"` // zero: none. Binds AllowRollbackTo
	History        []Entry           `json:"history"`                  // confirmed releases, oldest first
	Rejected       []manifest.Digest `json:"rejected"`                 // images that were rejected or reverted
	Permits        []Permit          `json:"permits"`
}

// A Permit records on the authoring side that somebody approved going back to
// a version. It is the reason for signing a downgrade manifest; to a device it
// means nothing.
type Permit struct {
	Version version.Version `json:"version"`
	By      string          `json:"by"`
	Reason  string          `json:"reason"`
	At      time.Time       `json:"at"`
}

// FloorFor returns the floor for manifests of the given key epoch.
func (s *State) FloorFor(epoch, keysetFloor uint32) uint32 {
	if epoch > s.Floor.Epoch {
		return keysetFloor
	}
	return max(keysetFloor, s.Floor.Counter)
}

// RecordVersionUpdate notes that e was confirmed at the given time: it becomes
// the installed release, joins the history, and only now raises the floor.
func (s *State) RecordVersionUpdate(e Entry, at time.Time) {
	e.ConfirmedAt = at.UTC()
	s.Installed = e
	s.History = last(append(s.History, e), MaxHistory)
	s.Rejected = slices.DeleteFunc(s.Rejected, func(d manifest.Digest) bool { return d == e.ImageDigest })
	switch epoch := e.Sequence.Epoch(); {
	case epoch > s.Floor.Epoch:
		s.Floor = Floor{Epoch: epoch, Counter: e.SecurityCounter}
	case epoch == s.Floor.Epoch:
		s.Floor.Counter = max(s.Floor.Counter, e.SecurityCounter)
	}
}

// RecordReturn notes that the device went back by itself to a retained image.
// The floor stays.
func (s *State) RecordReturn(e Entry) {
	s.Installed = e
	s.History = last(append(s.History, e), MaxHistory)
}

// Reject remembers an image that was rejected or reverted, so that it is not
// tried again unless an authenticated response asks for it.
func (s *State) Reject(image manifest.Digest) {
	s.Rejected = slices.DeleteFunc(s.Rejected, func(d manifest.Digest) bool { return d == image })
	s.Rejected = last(append(s.Rejected, image), MaxRejected)
}

// RaiseMinimum sets the version below which AllowRollbackTo approves nothing.
// It never falls.
func (s *State) RaiseMinimum(v version.Version) error {
	if !s.MinimumVersion.IsZero() && v.Less(s.MinimumVersion) {
		return fmt.Errorf("minimum version %s: %w: it is %s and never falls", v, reason.OldVersion, s.MinimumVersion)
	}
	s.MinimumVersion = v
	return nil
}

// AllowRollbackTo approves going back to a version of the history. It refuses
// a version below the minimum, one whose security counter is below the floor,
// and one that is not in the history.
func (s *State) AllowRollbackTo(v version.Version, by, why string, keysetFloor uint32, at time.Time) (Permit, error) {
	if !s.MinimumVersion.IsZero() && v.Less(s.MinimumVersion) {
		return Permit{}, fmt.Errorf("allow rollback to %s: %w: the minimum version is %s", v, reason.OldVersion, s.MinimumVersion)
	}
	target, ok := s.latest(v)
	if !ok {
		return Permit{}, fmt.Errorf("allow rollback to %s: %w: the version was never released", v, reason.NothingRetained)
	}
	if floor := max(keysetFloor, s.Floor.Counter); target.SecurityCounter < floor {
		return Permit{}, fmt.Errorf("allow rollback to %s: %w: counter %d, floor %d", v, reason.BelowFloor, target.SecurityCounter, floor)
	}
	p := Permit{Version: v, By: by, Reason: why, At: at.UTC()}
	s.Permits = last(append(s.Permits, p), MaxPermits)
	return p, nil
}

// latest returns the newest entry of a version: it may have been released more
// than once, again under a higher counter.
func (s *State) latest(v version.Version) (Entry, bool) {
	for _, e := range slices.Backward(s.History) {
		if e.Version == v {
			return e, true
		}
	}
	return Entry{}, false
}

// last returns the last n elements of s.
func last[T any](s []T, n int) []T {
	if len(s) > n {
		return slices.Clone(s[len(s)-n:])
	}
	return s
}
