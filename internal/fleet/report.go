package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

// Report is Sender.Report of a caller who vouches for the device.
func (f *Fleet) Report(ctx context.Context, r trust.Report, address string) error {
	return f.Sender(address).Report(ctx, r)
}

// Report takes an authenticated report, once. After nil it is durable, or it
// is the repetition of one that was: the device may not have heard the answer.
// An error that wraps ErrStorage means that nothing was taken.
func (s *Sender) Report(ctx context.Context, r trust.Report) error {
	f, ref := s.fleet, Ref{r.DeviceType, r.Device}
	admitted, err := s.admit(ctx, ref, func(d *Device) bool { return r.Nonce > d.ReportNonce })
	if err != nil {
		return fmt.Errorf("report of device %s: %w", ref, err)
	}
	f.table.saw(admitted.number, f.cfg.Now())
	if r.Nonce <= admitted.ReportNonce {
		return nil
	}
	snapshot := f.snapshot.Load()
	var told witnesses
	err = f.change(ctx, "device.report."+r.Event.String(), s.actor(ref), ref, func(tx *store.Tx, d *Device) error {
		if !d.stillIs(admitted) {
			return ErrUnauthenticated
		}
		if r.Nonce <= d.ReportNonce {
			return store.NoChange
		}
		before := *d
		d.LastEventAt = tx.Now()
		counts := d.take(r, snapshot)
		tx.Audit().After = audit.JSON(reportOf(r, counts, r.Nonce < before.CheckNonce))
		if f.cfg.Rollouts == nil {
			return nil
		}
		settle, err := f.cfg.Rollouts.Witness(tx, d, d.testifies(r, &before, counts))
		told.add(settle)
		return err
	})
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return fmt.Errorf("report of device %s: %w", ref, err)
	case err != nil:
		return fmt.Errorf("report of device %s: %w: %v", ref, ErrStorage, err)
	}
	told.settle()
	return nil
}

// testifies returns what a report says, beside the device as it was before. A
// confirmation that came late counts only if the image is still what runs.
func (d *Device) testifies(r trust.Report, before *Device, counts bool) Testimony {
	t := Testimony{
		Event: r.Event, Reason: r.Reason, Detail: r.Detail, About: r.Target,
		Runs: d.Installed, Ran: before.Installed, Boot: d.Boot,
		Lasting: lasting(r.Reason) && !r.Target.IsZero(),
		Proven:  counts && d.Installed == Running{r.Sequence, r.ImageDigest},
	}
	if t.About.IsZero() {
		t.About = before.Offer.Manifest
	}
	return t
}

// take changes d by a report. It returns whether a confirmation counts: only
// the very bytes of a release are evidence that the release runs.
func (d *Device) take(r trust.Report, s *Snapshot) (counts bool) {
	run := Running{r.Sequence, r.ImageDigest}
	d.ReportNonce = r.Nonce
	d.LastEvent, d.LastDetail = r.Event, r.Detail
	late := r.Nonce < d.CheckNonce // a check that was made later got here first
	if !late {
		d.Installed, d.LastError = run, r.Reason
	}
	switch r.Event {
	case trust.EventDownloading, trust.EventInstalled, trust.EventFailed, trust.EventKeyset:
	case trust.EventTrial:
		if !late {
			d.Boot = trust.BootTrial
		}
	case trust.EventConfirmed:
		release := s.find(d.DeviceType, run)
		if release == nil {
			return false
		}
		d.confirm(release, run)
		if !late {
			d.Boot = trust.BootConfirmed
		}
		return true
	case trust.EventReverted:
		if !late {
			d.Boot = trust.BootReverted
		}
		d.close(r.Target, s, true)
	case trust.EventRefused:
		// A refusal that names no manifest, of a keyset for instance, is no
		// verdict on the release that is on offer.
		d.close(r.Target, s, lasting(r.Reason) && !r.Target.IsZero())
	}
	return false
}

// confirm notes that a release proved itself on the device.
func (d *Device) confirm(release *Release, run Running) {
	s := d.state(d.entry())
	s.Rejected = append([]manifest.Digest(nil), s.Rejected...)
	s.RecordVersionUpdate(rollback.EntryOf(release.Manifest, release.Hash), d.LastEventAt)
	if run != d.Confirmed { // and not said again after a restart, which undoes no operator's word
		d.RetryRejected, d.UpdateNow = false, false
	}
	d.Confirmed, d.Floor, d.Rejected = run, s.Floor, s.Rejected
	if d.Offer.Image == run.Digest {
		d.Offer = Offer{}
	}
}

// close ends the offer that a refusal or a revert is about, and remembers its
// image if it is not to be offered again.
func (d *Device) close(target manifest.Digest, s *Snapshot, remember bool) {
	image := d.Offer.Image
	if !target.IsZero() && target != d.Offer.Manifest {
		image = s.imageOf(target)
	} else {
		d.Offer = Offer{}
	}
	if remember && !image.IsZero() {
		d.reject(image)
		d.RetryRejected = false
	}
}

// entry returns the confirmed release as far as the row knows it.
func (d *Device) entry() rollback.Entry {
	return rollback.Entry{Sequence: d.Confirmed.Sequence, ImageDigest: d.Confirmed.Digest}
}

// auditedReport is a report in the audit log.
type auditedReport struct {
	Running
	Nonce  uint64          `json:"nonce,string"`
	Target manifest.Digest `json:"target,omitzero"`
	Reason trust.Reason    `json:"reason"`
	Detail string          `json:"detail,omitempty"`
	Counts *bool           `json:"counts,omitempty"` // of a confirmation: it matches a release
	Late   bool            `json:"late,omitzero"`    // a check that was made later got here first: it says what ran before
}

func reportOf(r trust.Report, counts, late bool) auditedReport {
	a := auditedReport{Running{r.Sequence, r.ImageDigest}, r.Nonce, r.Target, r.Reason, r.Detail, nil, late}
	if r.Event == trust.EventConfirmed {
		a.Counts = &counts
	}
	return a
}
