package fleet

import (
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// Rollouts decide whether and when a device is offered what it may take. What
// it may take, holds and pins of operators included, is decided here before.
type Rollouts interface {
	// Rule reports whether a device type waits for rollouts. It is asked on
	// every check, as Choose is; both look at memory only.
	Rule(deviceType string) bool
	// Choose says which release a device of such a type is to be offered. The
	// question comes by value: behind an interface a pointer would cost every
	// check an allocation.
	Choose(q Question) Choice
	// Admit is called in the transaction that records an offer, with the device
	// as it stands there, before anything of the offer is written. It counts the
	// device in, or refuses with an error that wraps ErrNotAdmitted. The zero
	// Choice is an offer in no rollout's name, which it refuses if the type waits
	// for rollouts. settle is to be called once the transaction is committed.
	Admit(tx *store.Tx, d *Device, c Choice) (settle func(), err error)
	// Witness is called in the transaction that records what a device says of
	// itself, with the device as it is then. settle as in Admit.
	Witness(tx *store.Tx, d *Device, t Testimony) (settle func(), err error)
}

// ErrNotAdmitted refuses a device that a rollout does not offer its release
// now after all: another one took the last place.
var ErrNotAdmitted = errors.New("the rollout has no place for the device now")

// A Choice is what a rollout offers a device.
type Choice struct {
	Manifest manifest.Digest // hash of the signed manifest; zero: nothing now
	Rollout  string          // its id, for the audit log as well
	New      bool            // the device has to be admitted even if the offer stands already
	Why      error           // nothing is offered; nil: there is nothing newer
}

// A Testimony is what an authenticated device says of itself.
type Testimony struct {
	Event  trust.Event // of a report; 0: it is an update check
	Reason trust.Reason
	Detail string
	// About is the hash of the signed manifest that the event is about; zero:
	// not known.
	About   manifest.Digest
	Lasting bool // a refusal for good
	// Runs is the image that runs, Ran the one that ran before.
	Runs, Ran Running
	Boot      trust.BootState
	// Proven reports that Runs is, by sequence and digest, a published release
	// and that the device has confirmed it.
	Proven bool
	// Claimed reports that nothing authenticates it: the start of a download.
	Claimed bool
}

// ruled decides for a device whose type waits for rollouts.
func (t *typeView) ruled(q *Question, byHash map[manifest.Digest]*Release, rollouts Rollouts, d Decision) Decision {
	c := rollouts.Choose(*q)
	d.Why = c.Why
	r, ok := byHash[c.Manifest]
	if !ok || r.Manifest.Sequence <= q.Running.Sequence {
		return d
	}
	if d.Why = t.refuses(q, r); d.Why == nil {
		d.Release, d.Choice, d.RetryRejected = r, c, q.Device.RetryRejected
	}
	return d
}

// refuses says why a device may not take a release now.
func (t *typeView) refuses(q *Question, r *Release) error {
	version := r.Manifest.Version
	switch {
	case r.Withdrawn:
		return fmt.Errorf("release %s was withdrawn", version)
	case !r.verifiesUnder(t.newestKeyset):
		return fmt.Errorf("release %s: %w: its key was revoked", version, reason.NotEnoughSigners)
	}
	state := q.Device.state(t.installed(q.Running))
	if err := state.Check(r.Manifest, t.facts(q)); err != nil {
		return err
	}
	if !r.verifiesUnder(min(q.KeysetVersion, t.newestKeyset)) {
		// The answer's keyset version leads the device to the newer keyset.
		return fmt.Errorf("release %s: %w: the device holds version %d", version, reason.KeysetTooOld, q.KeysetVersion)
	}
	return nil
}

// witnesses collects what is to be called after a transaction.
type witnesses []func()

func (w *witnesses) add(settle func()) {
	if settle != nil {
		*w = append(*w, settle)
	}
}

func (w witnesses) settle() {
	for _, settle := range w {
		settle()
	}
}

// Withdrawn reports whether a release, by the hash of its signed manifest, was
// withdrawn.
func (f *Fleet) Withdrawn(hash manifest.Digest) bool {
	r, ok := f.snapshot.Load().byHash[hash]
	return ok && r.Withdrawn
}

// A Prospect is what would become of a device that is offered a release.
type Prospect struct {
	Version string // of what runs; empty: it is not published
	Keyset  uint32 // that has to come first; 0: none
	// Never reports that no published keyset that the device would accept
	// verifies the release.
	Never bool
	// Newest is the newest keyset that the device would accept, its own included.
	Newest uint32
	Why    error // it cannot take the release, whatever the keyset; nil: it can
}

// Prospect says what would become of a device, as it last showed itself, that
// is offered a release, by the hash of its signed manifest.
func (f *Fleet) Prospect(d *Device, hash manifest.Digest) Prospect {
	s := f.snapshot.Load()
	t, r := s.types[d.DeviceType], s.byHash[hash]
	if t == nil || r == nil {
		return Prospect{Why: fmt.Errorf("device %s: %w", d.Ref, ErrNoKeyset)}
	}
	p := Prospect{Newest: d.KeysetVersion}
	if runs := t.find(d.Installed); runs != nil {
		p.Version = runs.Manifest.Version.String()
	}
	if held := min(d.KeysetVersion, t.newestKeyset); !r.verifiesUnder(held) {
		p.Keyset, p.Newest = t.bridge(held, r)
		p.Never = p.Keyset == 0
	}
	p.Why = t.refuses(&Question{
		Device: *d, Running: d.Installed, KeysetVersion: max(d.KeysetVersion, p.Keyset), HardwareRevision: d.HardwareRevision, Now: f.cfg.Now(),
	}, r)
	return p
}

// bridge returns the first keyset that a device which holds a version would
// come to accept, one after the other, and that verifies the release; 0: none.
// newest is the last that it would accept.
func (t *typeView) bridge(held uint32, r *Release) (keyset, newest uint32) {
	reached := map[uint32]bool{held: true}
	newest = held
	for _, step := range t.accepts { // in the order of the newer version
		if !reached[step.held] {
			continue
		}
		reached[step.newer] = true
		newest = max(newest, step.newer)
		if keyset == 0 && r.verifiesUnder(step.newer) {
			keyset = step.newer
		}
	}
	return keyset, newest
}

// SteppingStone returns the version of the newest release that a device could
// take first and after which it could take another one, by the hash of its
// signed manifest; empty: there is none.
func (f *Fleet) SteppingStone(d *Device, hash manifest.Digest) string {
	s := f.snapshot.Load()
	t, r := s.types[d.DeviceType], s.byHash[hash]
	if t == nil || r == nil {
		return ""
	}
	for _, stone := range t.releases {
		if stone == r || stone.Manifest.Sequence <= d.Installed.Sequence || stone.Manifest.Sequence >= r.Manifest.Sequence {
			continue
		}
		q := Question{Device: *d, Running: d.Installed, KeysetVersion: t.newestKeyset, HardwareRevision: d.HardwareRevision, Now: f.cfg.Now()}
		if t.refuses(&q, stone) != nil {
			continue
		}
		q.Running = Running{stone.Manifest.Sequence, stone.Manifest.ImageDigest}
		if t.refuses(&q, r) == nil {
			return stone.Manifest.Version.String()
		}
	}
	return ""
}
