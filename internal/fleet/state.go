package fleet

import (
	"time"

	"github.com/secure-ota/secure-ota/trust"
)

// A State is what a device is doing, in a word or two for people. The words
// are those of filter.States.
type State string

// The states. The first that holds counts, in this order.
const (
	StateRevoked     State = "revoked"     // shut out
	StateNeverSeen   State = "never seen"  // it has yet to send its first message
	StateSilent      State = "silent"      // nothing came from it for longer than silence
	StateTrial       State = "trial"       // a new image runs and has yet to prove itself
	StateInstalling  State = "installing"  // an open offer is stored and verified, and boots next
	StateFailed      State = "failed"      // it could not fetch or store what was offered, and may try again
	StateDownloading State = "downloading" // it fetches what was offered
	StateOffered     State = "offered"     // it was told of a release
	StateReverted    State = "reverted"    // the last update failed its trial; the image before runs
	StateRefused     State = "refused"     // it refused the last offer
	StateConfirmed   State = "confirmed"   // it runs the release that it proved last, and has nothing to do
	StateIdle        State = "idle"        // it runs something that it did not prove here, such as its first image
)

// minSilence is how long a device is silent at least before it counts as that:
// one that asks every minute may still be switched off at night.
const minSilence = time.Hour

// silence returns after how long without a message a device counts as silent,
// if it is told to ask again after retry.
func silence(retry time.Duration) time.Duration { return max(3*retry, minSilence) }

// State returns what the device was doing at a time, if it is told to ask
// again after retry.
func (d *Device) State(now time.Time, retry time.Duration) State {
	switch {
	case d.Revoked:
		return StateRevoked
	case d.LastSeen.IsZero():
		return StateNeverSeen
	case now.Sub(d.LastSeen) > silence(retry):
		return StateSilent
	case d.Boot == trust.BootTrial:
		return StateTrial
	case !d.Offer.IsZero():
		return d.offerState()
	case d.Boot == trust.BootReverted || d.LastEvent == trust.EventReverted:
		return StateReverted
	case d.LastEvent == trust.EventRefused:
		return StateRefused
	case d.LastEvent == trust.EventFailed:
		return StateFailed
	case d.Confirmed.Sequence != 0 && d.Installed == d.Confirmed:
		return StateConfirmed
	}
	return StateIdle
}

// offerState is State of a device with an open offer. What the device said
// before it got the offer is about another one.
func (d *Device) offerState() State {
	said := trust.Event(0)
	if !d.LastEventAt.Before(d.Offer.At) {
		said = d.LastEvent
	}
	switch {
	case said == trust.EventInstalled:
		return StateInstalling
	case said == trust.EventFailed:
		return StateFailed
	case said == trust.EventDownloading || !d.Offer.StartedAt.IsZero():
		return StateDownloading
	}
	return StateOffered
}

// State returns what a device is doing now.
func (f *Fleet) State(d *Device) State { return d.State(f.cfg.Now(), f.cfg.Retry) }
