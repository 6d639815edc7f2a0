package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// Check is Sender.Check of a caller who vouches for the device.
func (f *Fleet) Check(ctx context.Context, req trust.CheckRequest, address string) (trust.CheckResponse, error) {
	return f.Sender(address).Check(ctx, req)
}

// Check answers an authenticated update check. One that brings nothing new and
// gets nothing new writes nothing. One that does (another image runs, a
// release is offered) commits that before it answers; if that is impossible
// the answer is that there is nothing to install.
//
// A check whose nonce is not new changes nothing: it may be a recording. What
// it is answered is of use to the device alone, and only while it still waits
// for that nonce.
func (s *Sender) Check(ctx context.Context, req trust.CheckRequest) (trust.CheckResponse, error) {
	f, ref := s.fleet, Ref{req.DeviceType, req.Device}
	d, err := s.admit(ctx, ref, func(d *Device) bool { return d.isAbove(req.Nonce) })
	if err != nil {
		return trust.CheckResponse{}, fmt.Errorf("check of device %s: %w", ref, err)
	}
	now := f.cfg.Now()
	f.table.saw(d.number, now)
	decision := f.decide(d, req, now)
	switch {
	case f.table.claim(d, req.Nonce):
		if observed(d, req, decision) == nil {
			break
		}
		err := s.commitCheck(ctx, d, req, &decision)
		if errors.Is(err, ErrUnauthenticated) {
			return trust.CheckResponse{}, fmt.Errorf("check of device %s: %w", ref, err)
		}
		if errors.Is(err, errLate) {
			decision.Release = nil
		} else if err != nil {
			f.cfg.Log.Error("fleet: check not recorded, nothing offered", "device", ref, "error", err)
			decision.Release = nil
		}
	case decision.Release != nil && (decision.Release.Hash != d.Offer.Manifest || decision.Choice.New):
		decision.Release = nil // only what is on record is offered
	}
	return f.answer(req, decision, now), nil
}

func (f *Fleet) decide(d *Device, req trust.CheckRequest, now time.Time) Decision {
	return f.snapshot.Load().Decide(Question{
		Device: *d, Running: Running{req.Sequence, req.ImageDigest}, KeysetVersion: req.KeysetVersion, Boot: req.Boot,
		HardwareRevision: d.hardware(req), Capabilities: req.Capabilities, Now: now,
	}, f.cfg.Rollouts)
}

func (f *Fleet) answer(req trust.CheckRequest, d Decision, now time.Time) trust.CheckResponse {
	a := trust.CheckResponse{
		Device: req.Device, Nonce: req.Nonce, ServerTime: uint64(now.Unix()),
		KeysetVersion: d.KeysetVersion, RetrySeconds: uint32(f.cfg.Retry / time.Second),
	}
	if d.Release != nil {
		a.ManifestHash, a.ManifestSize, a.RetryRejected = d.Release.Hash, uint32(len(d.Release.Signed)), d.RetryRejected
	}
	return a
}

// hardware returns the device's hardware revision: what it says itself, and
// otherwise what was said when it was added.
func (d *Device) hardware(req trust.CheckRequest) string {
	return cmp.Or(req.HardwareRevision, d.HardwareRevision)
}

// isAbove reports whether a check with that nonce is newer than every message
// before it.
func (d *Device) isAbove(nonce uint64) bool { return nonce > max(d.ReportNonce, d.CheckNonce) }

// observed returns the device as a check shows it, or nil if it shows what is
// known and the offer stays what it is.
func observed(d *Device, req trust.CheckRequest, decision Decision) *Device {
	run, hardware, offer := Running{req.Sequence, req.ImageDigest}, d.hardware(req), d.offerAfter(req, decision)
	if run == d.Installed && req.KeysetVersion == d.KeysetVersion && req.Boot == d.Boot && req.LastError == d.LastError &&
		hardware == d.HardwareRevision && offer == d.Offer && !decision.Choice.New {
		return nil
	}
	next := *d
	next.Installed, next.KeysetVersion, next.Boot, next.LastError = run, req.KeysetVersion, req.Boot, req.LastError
	next.HardwareRevision, next.Offer = hardware, offer
	return &next
}

// offerAfter returns the offer that is open after a check.
func (d *Device) offerAfter(req trust.CheckRequest, decision Decision) Offer {
	switch release := decision.Release; {
	case release != nil && (release.Hash != d.Offer.Manifest || decision.Choice.New):
		return Offer{Manifest: release.Hash, Image: release.Manifest.ImageDigest}
	case release == nil && !d.Offer.IsZero() && req.Boot != trust.BootTrial:
		return Offer{} // it runs by now, was withdrawn, or is no longer for this device
	}
	return d.Offer
}

// errLate is the verdict on a check that is older than what is committed.
var errLate = errors.New("a later message of the device is committed")

// commitCheck records what a check of the device as it was admitted changes:
// its state, its offer, or both, each with a record of its own. It takes a
// release that its rollout does not admit the device to out of the decision.
func (s *Sender) commitCheck(ctx context.Context, admitted *Device, req trust.CheckRequest, decision *Decision) error {
	by := s.actor(admitted.Ref)
	s.shared = true
	var told witnesses
	err := s.fleet.change(ctx, "device.state", by, admitted.Ref, func(tx *store.Tx, d *Device) error {
		if !d.stillIs(admitted) {
			return ErrUnauthenticated
		}
		// Another replica may have committed a later message that is not known
		// here yet: then this one is late, or a recording.
		if req.Nonce < max(d.ReportNonce, d.CheckNonce) {
			return errLate
		}
		next := observed(d, req, *decision)
		if next == nil {
			return store.NoChange
		}
		before, after := stateOf(d), stateOf(next)
		if before != after {
			settle, err := s.fleet.seen(tx, d, next)
			if err != nil {
				return err
			}
			told.add(settle)
		}
		settle, err := s.fleet.admitted(tx, d, next, decision)
		if err != nil {
			return err
		}
		told.add(settle)
		if next = observed(d, req, *decision); next == nil {
			return store.NoChange
		}
		offerChanged := next.Offer != d.Offer
		if offerChanged && !next.Offer.IsZero() {
			next.Offer.At = tx.Now()
		}
		next.CheckNonce = max(d.CheckNonce, req.Nonce)
		*d = *next
		entry := tx.Audit()
		entry.Before, entry.After = audit.JSON(before), audit.JSON(after)
		if !offerChanged {
			return nil
		}
		offer := by.Entry("device.offer", entry.Object)
		offer.After = audit.JSON(offerOf(*decision))
		if before == after { // the offer is all there is to record
			*entry = offer
			return nil
		}
		return tx.Record(offer)
	})
	if err == nil {
		told.settle()
	}
	return err
}

// admitted has the rollouts count in the device to which a new offer is made,
// or takes the release out of the decision. They are asked of an offer in
// nobody's name, too: that the type waits for rollouts by now may not have
// reached this process. A pin is above them.
func (f *Fleet) admitted(tx *store.Tx, d, next *Device, decision *Decision) (settle func(), err error) {
	fresh := !next.Offer.IsZero() && next.Offer != d.Offer
	if f.cfg.Rollouts == nil || !fresh && !decision.Choice.New {
		return nil, nil
	}
	if decision.Choice.Rollout == "" && d.Pin == decision.Release.Manifest.Version.String() {
		return nil, nil
	}
	settle, err = f.cfg.Rollouts.Admit(tx, next, decision.Choice)
	if errors.Is(err, ErrNotAdmitted) {
		decision.Release, decision.RetryRejected, decision.Choice = nil, false, Choice{Why: err}
		return nil, nil
	}
	return settle, err
}

// seen tells the rollouts what a check shows.
func (f *Fleet) seen(tx *store.Tx, d, next *Device) (settle func(), err error) {
	if f.cfg.Rollouts == nil {
		return nil, nil
	}
	t := Testimony{Runs: next.Installed, Ran: d.Installed, Boot: next.Boot, Reason: next.LastError}
	t.Proven = next.Boot == trust.BootConfirmed && f.snapshot.Load().find(d.DeviceType, next.Installed) != nil
	if next.Boot == trust.BootReverted && d.Boot != trust.BootReverted {
		t.About = d.Offer.Manifest
	}
	return f.cfg.Rollouts.Witness(tx, next, t)
}

// deviceState is what a check shows, in the audit log.
type deviceState struct {
	Running
	KeysetVersion    uint32       `json:"keyset_version"`
	Boot             string       `json:"boot"`
	LastError        trust.Reason `json:"last_error"`
	HardwareRevision string       `json:"hardware_revision"`
}

func stateOf(d *Device) deviceState {
	return deviceState{d.Installed, d.KeysetVersion, BootWord(d.Boot), d.LastError, d.HardwareRevision}
}

// BootWord returns a boot state in a word.
func BootWord(b trust.BootState) string {
	return [...]string{"confirmed", "trial", "reverted"}[min(b, trust.BootReverted)]
}

type auditedOffer struct {
	Manifest manifest.Digest   `json:"manifest"`
	Image    manifest.Digest   `json:"image"`
	Version  string            `json:"version"`
	Sequence manifest.Sequence `json:"sequence"`
	Rollout  string            `json:"rollout,omitempty"` // the id of the one that offers it
}

// offerOf describes an offer; null is the end of one.
func offerOf(d Decision) *auditedOffer {
	r := d.Release
	if r == nil {
		return nil
	}
	return &auditedOffer{r.Hash, r.Manifest.ImageDigest, r.Manifest.Version.String(), r.Manifest.Sequence, d.Choice.Rollout}
}

func actorOf(ref Ref) string { return "device:" + ref.String() }

// StartDownload notes that an image is being fetched. device is a claim,
// authenticated by nothing; it has an effect only if a device of that id holds
// an open offer of this very image, once for each offer.
func (f *Fleet) StartDownload(ctx context.Context, device string, image manifest.Digest, address string) error {
	for _, deviceType := range f.snapshot.Load().byImage[image] {
		ref := Ref{deviceType, device}
		d, ok, err := f.find(ref)
		if err != nil {
			return err
		}
		if !ok || !d.awaits(image) {
			continue
		}
		by := auth.Actor{Name: actorOf(ref) + "?", Address: address} // "?": claimed, not proved
		var told witnesses
		err = f.change(ctx, "device.download", by, ref, func(tx *store.Tx, d *Device) error {
			if !d.awaits(image) {
				return store.NoChange
			}
			d.Offer.StartedAt = tx.Now()
			tx.Audit().After = audit.JSON(map[string]manifest.Digest{"image": image})
			if f.cfg.Rollouts == nil {
				return nil
			}
			settle, err := f.cfg.Rollouts.Witness(tx, d, Testimony{Event: trust.EventDownloading, About: d.Offer.Manifest, Claimed: true})
			told.add(settle)
			return err
		})
		if err != nil {
			return fmt.Errorf("record download by device %s: %w: %v", ref, ErrStorage, err)
		}
		told.settle()
	}
	return nil
}

func (d *Device) awaits(image manifest.Digest) bool {
	return !d.Revoked && !d.Offer.IsZero() && d.Offer.Image == image && d.Offer.StartedAt.IsZero()
}

// reject remembers an image that the device refused for good, or reverted.
func (d *Device) reject(image manifest.Digest) {
	s := d.state(d.entry())
	s.Rejected = slices.Clone(s.Rejected) // the old slice belongs to the device in memory
	s.Reject(image)
	d.Rejected = s.Rejected
}
