package rollout

import (
	"errors"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
)

// A census is how many devices wait for a rollout. It is counted beside the
// checks, from memory; what the rollout touched stands in its counters.
type census struct {
	at      time.Time
	took    time.Duration
	stage   int // that was open
	touched int // when it was counted
	waiting int // of the target: not touched, do not have it, and can take it
	blocked int // of the target: held, pinned, or cannot take it
	stages  []waitingIn
}

// waitingIn is how many devices wait in a stage, those of earlier ones
// included.
type waitingIn struct {
	waiting int // and were not touched
	left    int // and were: another rollout had taken them over
	present int // of both, were here since the open stage opened
}

// since returns how many of those that waited still do: not those that were
// touched since they were counted, which stand in the counters.
func (c *census) since(r *row, waiting int) int { return max(waiting-(r.touched-c.touched), 0) }

// scanShare is how small a part of the time is spent on counting: a census is
// good for so many times as long as it took.
const scanShare = 50

// freshCensus is how old a census may be at least.
const freshCensus = time.Second

// census returns a census that is not too old.
func (e *Engine) census(a *active) *census {
	e.counting.Lock()
	defer e.counting.Unlock()
	known, now := e.counted[a.id], e.now()
	if known != nil && known.stage == a.stage && !now.Before(known.at) && now.Sub(known.at) < max(freshCensus, scanShare*known.took) {
		return known
	}
	counted := e.count(a)
	e.counted[a.id] = counted
	return counted
}

// forget drops the censuses of rollouts that are no more.
func (e *Engine) forget() {
	known := e.memory.Load().byID
	e.counting.Lock()
	defer e.counting.Unlock()
	for id := range e.counted {
		if _, ok := known[id]; !ok {
			delete(e.counted, id)
		}
	}
}

func (e *Engine) count(a *active) *census {
	began := time.Now()
	c := &census{at: e.now(), stage: a.stage, stages: make([]waitingIn, len(a.spec.Stages))}
	var opened time.Time
	if a.stage > 0 {
		opened = a.stages[a.stage-1].openedAt
	}
	counted, revision := a.gauge.moment()
	c.touched = counted.touched
	cuts := a.cuts()
	e.waiting(a, revision, func(p uint64, d *fleet.Device, left, blocked bool) {
		if blocked {
			c.blocked++
			return
		}
		if !left {
			c.waiting++
		}
		for i := e.stageOf(a, cuts, p, d); i < len(c.stages); i++ {
			if left {
				c.stages[i].left++
			} else {
				c.stages[i].waiting++
			}
			if !d.LastSeen.Before(opened) && !d.LastSeen.IsZero() {
				c.stages[i].present++
			}
		}
	})
	for i, stage := range a.spec.Stages[a.stage:] { // which these are is known when they open
		least := stage.Count
		if stage.Percent > 0 {
			least = 1
		}
		at := &c.stages[a.stage+i]
		at.waiting = max(at.waiting, min(least-c.touched, c.waiting))
	}
	c.took = time.Since(began)
	return c
}

// cuts returns the cut of each stage: as it was fixed, or as it will be.
func (a *active) cuts() []uint64 {
	cuts := make([]uint64, len(a.spec.Stages))
	var last uint64
	for i, stage := range a.spec.Stages {
		if i < len(a.stages) {
			last = a.stages[i].cut
		} else {
			last = max(last, percentCut(stage.Percent))
		}
		cuts[i] = last
	}
	return cuts
}

// stageOf returns the first stage that a device is in, as an index.
func (e *Engine) stageOf(a *active, cuts []uint64, p uint64, d *fleet.Device) int {
	for i, cut := range cuts {
		if within(p, cut) || a.groups[i] != nil && e.fleet.Matches(a.groups[i], d) {
			return i
		}
	}
	return len(cuts)
}

// waiting calls f for every device of the target that could be offered the
// release, and was not by the revision of a moment of the gauge. left: it was,
// and another rollout has taken it over since. blocked: it is not offered the
// release whatever the rollout does.
func (e *Engine) waiting(a *active, revision int64, f func(position uint64, d *fleet.Device, left, blocked bool)) {
	e.each(a.spec.DeviceType, func(d *fleet.Device) {
		if d.Installed.Sequence >= a.facts.Release.Sequence || !a.facts.Release.fits(d.HardwareRevision) || !e.fleet.Matches(a.target, d) {
			return
		}
		p := position(a.id, d.Ref)
		m := a.gauge.mark(p)
		if m.state.unproven() && m.since <= revision {
			return
		}
		blocked := d.Hold || d.Pin != "" || e.cannot(d, a.facts.Release.Hash)
		f(p, d, m.state == Left && m.since <= revision, blocked)
	})
}

// cut returns the first position outside the stage that opens next. A share
// holds at least one device, if there is one; a number holds exactly so many,
// those that were touched included.
func (e *Engine) cut(a *active) (cut uint64, target int) {
	stage := a.spec.Stages[a.stage]
	if a.stage > 0 {
		cut = a.stages[a.stage-1].cut
	}
	counted, revision := a.gauge.moment()
	target = counted.touched
	var waiting []uint64
	e.waiting(a, revision, func(p uint64, _ *fleet.Device, left, blocked bool) {
		if !left {
			target++
		}
		if !blocked {
			waiting = append(waiting, p)
		}
	})
	need := stage.Count - counted.touched
	if stage.Percent > 0 {
		cut = max(cut, percentCut(stage.Percent))
		need = 1 - counted.touched
	}
	if need <= 0 || len(waiting) == 0 {
		return cut, target
	}
	slices.Sort(waiting)
	last := waiting[min(need, len(waiting))-1]
	if last == all {
		return all, target
	}
	return max(cut, last+1), target
}

// cannot reports whether a device could not take a release even after it has
// fetched the keysets that it would accept.
func (e *Engine) cannot(d *fleet.Device, hash manifest.Digest) bool {
	p := e.fleet.Prospect(d, hash)
	return p.Never && d.KeysetVersion != 0 || p.Why != nil && !errors.Is(p.Why, reason.KeysetTooOld)
}
