// Package rollback answers one question: may this device go to that release?
//
// Check holds the rules of trust.md as a pure function, used by the device
// before it installs and by the server before it offers. State is what has to
// be remembered for it, and Protection keeps a State in a file.
package rollback

import (
	"fmt"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
)

// A Device is what the rules look at besides the manifest and the State.
type Device struct {
	HardwareRevision string    // empty: has none, takes only releases for all
	Component        string    // empty: the main firmware
	SlotSize         int64     // bytes; 0: not known here, size is not checked
	KeysetFloor      uint32    // security floor of the keyset held
	Now              time.Time // zero: no clock, expiry is not checked
	RetryRejected    bool      // an authenticated response asks to try a rejected image again
}

// Check says whether a device with state s may install m. The error wraps one
// reason, the first in this order: hardware, component, expiry, sequence,
// downgrade, version, floor, size, rejected before.
//
// The manifest's signature is not looked at: only verified manifests come
// here. A manifest equal to the installed one passes, so that an installation
// can be done again after a power cut.
func (s *State) Check(m *manifest.Manifest, d Device) error {
	if !m.FitsHardware(d.HardwareRevision) {
		return fmt.Errorf("release %s: %w: device has %q, release is for %q", m.Version, reason.WrongHardware, d.HardwareRevision, m.HardwareRevisions)
	}
	if m.Component != d.Component {
		return fmt.Errorf("release %s: %w: %q, want %q", m.Version, reason.WrongComponent, m.Component, d.Component)
	}
	if !m.Expires.IsZero() && !d.Now.IsZero() && d.Now.Unix() > m.Expires.Unix() {
		return fmt.Errorf("release %s: %w on %s", m.Version, reason.Expired, m.Expires.Format(time.RFC3339))
	}
	if err := s.checkOrder(m); err != nil {
		return err
	}
	if floor := s.FloorFor(m.Sequence.Epoch(), d.KeysetFloor); m.SecurityCounter < floor {
		return fmt.Errorf("release %s: %w: counter %d, floor %d", m.Version, reason.BelowFloor, m.SecurityCounter, floor)
	}
	if d.SlotSize > 0 && int64(m.ImageSize) > d.SlotSize {
		return fmt.Errorf("release %s: %w: %d bytes, the slot holds %d", m.Version, reason.ImageSize, m.ImageSize, d.SlotSize)
	}
	if !d.RetryRejected && slices.Contains(s.Rejected, m.ImageDigest) {
		return fmt.Errorf("release %s: %w", m.Version, reason.RejectedBefore)
	}
	return nil
}

func (s *State) checkOrder(m *manifest.Manifest) error {
	have := s.Installed
	again := m.Sequence == have.Sequence && m.ImageDigest == have.ImageDigest
	if again {
		return nil
	}
	if m.Sequence <= have.Sequence {
		return fmt.Errorf("release %s: %w: sequence %s, installed %s", m.Version, reason.OldSequence, m.Sequence, have.Sequence)
	}
	if m.Downgrade() {
		if !slices.Contains(m.DowngradeFrom, have.Sequence) {
			return fmt.Errorf("release %s: %w: installed is %s", m.Version, reason.NotApplicable, have.Sequence)
		}
		return nil
	}
	if m.Version.Less(have.Version) {
		return fmt.Errorf("release %s: %w: installed is %s", m.Version, reason.OldVersion, have.Version)
	}
	return nil
}

// CheckReturn says whether a device may return by itself from the installed
// release to the retained image: once confirmed, within the rollback window
// that the installed manifest signs, and not below the floor.
func (s *State) CheckReturn(retained Entry, keysetFloor uint32) error {
	if retained.ImageDigest.IsZero() || retained.ConfirmedAt.IsZero() {
		return fmt.Errorf("roll back: %w", reason.NothingRetained)
	}
	oldest := s.Installed.OldestReturn
	if oldest == 0 || retained.Sequence < oldest {
		return fmt.Errorf("roll back to %s: %w: sequence %s, the installed release allows %s and later",
			retained.Version, reason.OutsideWindow, retained.Sequence, oldest)
	}
	// Whatever the epoch of the retained image: a new epoch lowers the bar for
	// what it signs itself, not for what was there before.
	floor := max(keysetFloor, s.Floor.Counter)
	if retained.SecurityCounter < floor {
		return fmt.Errorf("roll back to %s: %w: counter %d, floor %d", retained.Version, reason.BelowFloor, retained.SecurityCounter, floor)
	}
	return nil
}
