package rollout

import (
	"errors"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
)

// Why a device is not offered a release. A check is answered with these, and
// they cost it nothing.
var (
	errNoRollout = errors.New("its type waits for rollouts, and none is for this device")
	errScheduled = errors.New("its rollout has not begun")
	errPaused    = errors.New("its rollout is paused")
	errHalted    = errors.New("its rollout is halted")
	errOver      = errors.New("its rollout is over")
	errStage     = errors.New("its rollout has not come to the stage of the device")
	errWindow    = errors.New("it is outside the maintenance window of its rollout")
	errPace      = errors.New("its rollout keeps to its pace")
	errBudget    = errors.New("its rollout waits for evidence: as many devices are without it as may be")
	errSpent     = errors.New("it failed, and its rollout does not try again")
)

// burst is how far a rollout may be ahead of its pace: so many microseconds'
// worth of devices.
const burst = int64(time.Second / time.Microsecond)

// An applicant is a device that a rollout might offer its release.
type applicant struct {
	state   DeviceState // in this rollout; empty: not touched
	excused bool
	inStage bool // of those that are open
	urgent  bool // an operator lets it not wait
	again   bool // an operator lets it try again
}

func applicantOf(d *fleet.Device, state DeviceState, excused bool) applicant {
	return applicant{state: state, excused: excused, urgent: d.UpdateNow, again: d.RetryRejected}
}

// charged reports whether the device counts against the budget already.
func (a applicant) charged() bool { return a.state.unproven() && !a.excused }

// refuses says why the release is not offered to the device now, nil if it may
// be. It is asked of memory on a check, and of the row in the transaction that
// records the offer.
func (r *row) refuses(c *counters, a applicant, now time.Time) error {
	if !r.state.offers() && !(r.state == Scheduled && a.urgent) {
		return idle[r.state]
	}
	switch {
	case a.state.open():
		return nil // it has its place
	case a.state.ended() && !a.again:
		return errSpent
	case !a.inStage && a.state != Retrying && !a.urgent:
		return errStage
	case !a.charged() && c.unproven >= r.budget:
		return errBudget
	case a.urgent:
		return nil
	case r.spec.Window != nil && !r.spec.Window.Contains(now):
		return errWindow
	case r.spec.Pace > 0 && c.paceUS-now.UnixMicro() > burst:
		return errPace
	}
	return nil
}

// idle says why a rollout in a state offers nothing.
var idle = map[State]error{
	Draft: errScheduled, Awaiting: errScheduled, Scheduled: errScheduled, Paused: errPaused, Halted: errHalted, Aborted: errOver,
}

// Rule implements fleet.Rollouts.
func (e *Engine) Rule(deviceType string) bool { return e.memory.Load().offers[deviceType] == Rollouts }

// Choose implements fleet.Rollouts: the rollout that was started last, of
// those that have the device in their target, decides.
func (e *Engine) Choose(q fleet.Question) fleet.Choice {
	for _, a := range e.memory.Load().types[q.Device.DeviceType] {
		if c, decides := e.choose(a, &q); decides {
			return c
		}
	}
	return fleet.Choice{Why: errNoRollout}
}

// choose says what a rollout offers a device, if it decides for it.
func (e *Engine) choose(a *active, q *fleet.Question) (c fleet.Choice, decides bool) {
	d := &q.Device
	if a.state == Halted && a.facts.Back != nil && q.Running == a.facts.Release.Running && !a.gauge.isStrange(position(a.id, d.Ref)) {
		return fleet.Choice{Manifest: a.facts.Back.Hash, Rollout: a.id}, true
	}
	var seen *fleet.Device // for filters; a rollout without any spares itself the copy
	if a.filters {
		seen = asSeen(q)
	}
	if !a.facts.Release.fits(q.HardwareRevision) || a.filters && !e.fleet.Matches(a.target, seen) {
		return fleet.Choice{}, false
	}
	if q.Running.Sequence >= a.facts.Release.Sequence {
		return fleet.Choice{}, true
	}
	if err := idle[a.state]; err != nil && !(a.state == Scheduled && d.UpdateNow) {
		return fleet.Choice{Why: err}, true
	}
	p := position(a.id, d.Ref)
	m := a.gauge.mark(p)
	who := applicantOf(d, m.state, m.excused)
	who.inStage = e.inStage(a, p, seen)
	if err := a.refuses(a.gauge.counters.Load(), who, q.Now); err != nil {
		return fleet.Choice{Why: err}, true
	}
	return fleet.Choice{Manifest: a.facts.Release.Hash, Rollout: a.id, New: !m.state.open()}, true
}

// asSeen returns the device as this very check shows it.
func asSeen(q *fleet.Question) *fleet.Device {
	d := q.Device
	d.Installed, d.KeysetVersion, d.Boot, d.HardwareRevision = q.Running, q.KeysetVersion, q.Boot, q.HardwareRevision
	return &d
}

// inStage reports whether a device is in a stage that is open. d may be nil
// where no stage has a filter.
func (e *Engine) inStage(a *active, position uint64, d *fleet.Device) bool {
	if a.stage == 0 {
		return false
	}
	if within(position, a.stages[a.stage-1].cut) {
		return true
	}
	for _, group := range a.groups[:a.stage] {
		if group != nil && e.fleet.Matches(group, d) {
			return true
		}
	}
	return false
}
