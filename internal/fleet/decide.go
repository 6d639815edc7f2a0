package fleet

import (
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// A Question is what decides what a device may have: what it says of itself,
// and what the fleet knows of it.
type Question struct {
	Device           Device
	Running          Running
	KeysetVersion    uint32
	Boot             trust.BootState
	HardwareRevision string
	Capabilities     uint8
	Now              time.Time
}

// A Decision is what a device may have. Without a Release there is nothing to
// install, and Why says why the newest one is not for this device, nil if
// there is none above the installed one.
type Decision struct {
	KeysetVersion uint32 // the newest of the device's type; 0: none
	Release       *Release
	RetryRejected bool
	Why           error
	Choice        Choice // in whose name Release is offered; zero: in nobody's
}

// Decide answers a question. It looks at nothing but the snapshot and its
// arguments. Without rollouts (nil) a device is offered the newest release
// that it can take.
func (s *Snapshot) Decide(q Question, rollouts Rollouts) Decision {
	t, ok := s.types[q.Device.DeviceType]
	if !ok {
		return Decision{Why: fmt.Errorf("device type %s: %w", q.Device.DeviceType, ErrNoKeyset)}
	}
	d := Decision{KeysetVersion: t.newestKeyset}
	if q.Boot == trust.BootTrial && q.Capabilities&trust.CapNoRevert == 0 {
		// Another installation would overwrite the image to which a failed
		// trial returns. A device that has none to return to needs the repair.
		return d
	}
	if q.Device.Hold {
		d.Why = ErrHeld
		return d
	}
	// A pin is an operator's word about this very device.
	if q.Device.Pin == "" && rollouts != nil && rollouts.Rule(q.Device.DeviceType) {
		return t.ruled(&q, s.byHash, rollouts, d)
	}
	if len(t.releases) == 0 || t.releases[0].Manifest.Sequence <= q.Running.Sequence {
		d.Why = t.missesPin(&q) // as nearly every time
		return d
	}
	candidates, why := t.candidates(&q)
	d.Why = why
	if len(candidates) > 0 {
		d.Release, d.RetryRejected = candidates[0], q.Device.RetryRejected
	}
	return d
}

// candidates returns the releases that the device may take now, newest first,
// or why it may not take the newest above the installed one.
func (t *typeView) candidates(q *Question) (candidates []*Release, why error) {
	state := q.Device.state(t.installed(q.Running))
	device := t.facts(q)
	for _, r := range t.releases {
		if r.Manifest.Sequence <= q.Running.Sequence {
			break
		}
		if r.Withdrawn || !r.verifiesUnder(t.newestKeyset) { // the second: its key was revoked
			continue
		}
		if pin := q.Device.Pin; pin != "" && pin != r.Manifest.Version.String() {
			continue
		}
		if err := state.Check(r.Manifest, device); err != nil {
			why = first(why, err)
			continue
		}
		if !r.verifiesUnder(min(q.KeysetVersion, t.newestKeyset)) {
			// The device takes the newer keyset first, to which the answer's
			// keyset version leads it. Older releases wait, or it would
			// install twice.
			if len(candidates) == 0 {
				why = fmt.Errorf("release %s: %w: the device holds version %d", r.Manifest.Version, reason.KeysetTooOld, q.KeysetVersion)
			}
			break
		}
		candidates = append(candidates, r)
	}
	if len(candidates) == 0 && why == nil {
		why = t.missesPin(q)
	}
	return candidates, why
}

// facts returns what package rollback looks at beside a device's state.
func (t *typeView) facts(q *Question) rollback.Device {
	return rollback.Device{
		HardwareRevision: q.HardwareRevision,
		KeysetFloor:      t.floor(q.KeysetVersion),
		Now:              q.Now,
		RetryRejected:    q.Device.RetryRejected,
	}
}

// missesPin says why a device stays away from the version it is pinned to, nil
// if it runs it or is not pinned. To an older one leads nothing but an
// approved downgrade, which is a release of that version with a sequence
// above all before it.
func (t *typeView) missesPin(q *Question) error {
	pin, runs := q.Device.Pin, t.find(q.Running)
	if pin == "" || runs != nil && runs.Manifest.Version.String() == pin {
		return nil
	}
	return fmt.Errorf("%w to version %s: no release of it is on offer above what runs; back to it leads an approved downgrade", ErrPinned, pin)
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// installed returns what is published about the image that runs; of one that
// is not published, only what the device says.
func (t *typeView) installed(run Running) rollback.Entry {
	if r := t.find(run); r != nil {
		return rollback.EntryOf(r.Manifest, r.Hash)
	}
	return rollback.Entry{Sequence: run.Sequence, ImageDigest: run.Digest}
}

// lasting says whether a refusal for that reason is about the release and the
// device, so that offering it again would be refused again. Others pass: a
// keyset can be fetched, a disk emptied. A wrong digest (21) is not lasting
// either: on a plain connection anyone on the way could make one, and would
// keep the device from the release for ever.
func lasting(r trust.Reason) bool {
	switch r {
	case reason.WrongVendor, reason.WrongType, reason.WrongHardware, reason.WrongComponent, reason.Expired,
		reason.OldSequence, reason.OldVersion, reason.NotApplicable, reason.BelowFloor, reason.ImageSize,
		reason.RejectedBefore, reason.HealthCheck, reason.TriesExhausted, reason.WatchdogReset, reason.OperatorRequested:
		return true
	}
	return false
}

// A Release is a published release as the decision sees it.
type Release struct {
	Manifest  *manifest.Manifest
	Signed    []byte          // the signed manifest, as it is transferred
	Hash      manifest.Digest // of Signed
	Withdrawn bool
	verified  map[uint32]bool // by keyset version
}

func (r *Release) verifiesUnder(keysetVersion uint32) bool { return r.verified[keysetVersion] }
