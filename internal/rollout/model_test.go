package rollout_test

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/repository"
)

// model is what rollouts ought to do, as simply as it can be said: it keeps no
// counters, but counts; it has no memory beside a database, no transactions
// and no second server.
type model struct {
	now      time.Time
	started  int
	critical bool // what is started from now on needs a second person
	rollouts map[string]*modelRollout
	devices  []*modelDevice
}

type modelRollout struct {
	rollout.Spec
	id        string
	release   repository.Release
	state     rollout.State
	stage     int
	order     int // in which it was started
	budget    int
	opened    []time.Time
	cuts      []uint64
	due       time.Time // of the next offer, at an even pace
	withdrawn bool
	touched   map[*modelDevice]*modelTouched
}

type modelTouched struct {
	state    rollout.DeviceState
	evidence rollout.Evidence
	attempts int
	excused  bool
	offered  time.Time
	changed  time.Time
}

// modelDevice is a device, and what the fleet knows of it.
type modelDevice struct {
	*device
	known    fleet.Running
	boot     int             // as known
	rejected map[string]bool // releases, by version
	retry    bool
	hold     bool
	urgent   bool
	proved   fleet.Running
	seen     time.Time
}

// byStart returns the rollouts that decide, the last started first.
func (m *model) byStart() []*modelRollout {
	var list []*modelRollout
	for _, r := range m.rollouts {
		switch r.state {
		case rollout.Scheduled, rollout.Running, rollout.Paused, rollout.Halted, rollout.Completed:
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *modelRollout) int { return cmp.Compare(b.order, a.order) })
	return list
}

func sequence(r repository.Release) uint64 { return uint64(runs(r).Sequence) }

func isOpen(s rollout.DeviceState) bool {
	return s == rollout.Offered || s == rollout.Downloading || s == rollout.Installed || s == rollout.Trial
}

func hasEnded(s rollout.DeviceState) bool {
	return s == rollout.Failed || s == rollout.Reverted || s == rollout.Refused || s == rollout.TimedOut
}

func charged(t *modelTouched) bool {
	return !t.excused && (isOpen(t.state) || hasEnded(t.state) || t.state == rollout.Retrying)
}

func (r *modelRollout) count(which func(*modelTouched) bool) (n int) {
	for _, t := range r.touched {
		if which(t) {
			n++
		}
	}
	return n
}

func (r *modelRollout) confirmed() int {
	return r.count(func(t *modelTouched) bool { return t.state == rollout.Confirmed })
}

func (r *modelRollout) ended() int {
	return r.count(func(t *modelTouched) bool { return !t.excused && hasEnded(t.state) })
}

// within reports whether a device is in the first n stages.
func (r *modelRollout) within(d *modelDevice, n int) bool {
	if n == 0 {
		return false
	}
	cut := r.cuts[n-1]
	return cut == math.MaxUint64 || rollout.Position(r.id, fleet.Ref{DeviceType: deviceType, ID: d.id}) < cut
}

// check takes an update check, and returns the release that is offered.
func (m *model) check(d *modelDevice) *repository.Release {
	d.seen = m.now
	if now := int(d.device.boot); d.known != d.running || d.boot != now {
		ran := d.known
		d.known, d.boot = d.running, now
		m.hear(d, func(r *modelRollout, t *modelTouched) {
			switch {
			case now == 0 && d.known == runs(r.release):
				m.confirm(t, rollout.ByCheck)
			case t.state == rollout.Confirmed && ran == runs(r.release) && uint64(d.known.Sequence) < sequence(r.release):
				m.move(t, rollout.Reverted)
			case now == 1 && d.known == runs(r.release) && isOpen(t.state):
				m.move(t, rollout.Trial)
			}
		})
	}
	if d.device.boot == 1 || d.hold {
		return nil
	}
	for _, r := range m.byStart() {
		if uint64(d.running.Sequence) >= sequence(r.release) {
			return nil
		}
		return m.offer(r, d)
	}
	return nil
}

// offer says what the rollout that decides offers, and counts the device in.
func (m *model) offer(r *modelRollout, d *modelDevice) *repository.Release {
	t := r.touched[d]
	offers := r.state == rollout.Running || r.state == rollout.Completed || r.state == rollout.Scheduled && d.urgent
	if !offers || r.withdrawn || d.rejected[r.release.Version().String()] && !d.retry {
		return nil
	}
	if t != nil && isOpen(t.state) {
		return &r.release
	}
	first := t == nil || t.state == rollout.Confirmed || t.state == rollout.Left
	switch {
	case t != nil && hasEnded(t.state) && !d.retry,
		(first || hasEnded(t.state)) && !r.within(d, r.stage) && !d.urgent,
		(t == nil || !charged(t)) && r.count(charged) >= r.budget:
		return nil
	case d.urgent:
	case r.Window != nil && !r.Window.Contains(m.now), r.Pace > 0 && r.due.Sub(m.now) > time.Second:
		return nil
	}
	for _, other := range m.rollouts {
		if o := other.touched[d]; other != r && o != nil && (isOpen(o.state) || o.state == rollout.Retrying) {
			m.move(o, rollout.Left)
		}
	}
	if t == nil {
		t = &modelTouched{}
		r.touched[d] = t
	}
	if t.state != rollout.Retrying {
		t.attempts = 0
	}
	t.attempts++
	t.offered = m.now
	m.move(t, rollout.Offered)
	if r.Pace > 0 {
		if r.due.Before(m.now) {
			r.due = m.now
		}
		r.due = r.due.Add(time.Minute / time.Duration(r.Pace))
	}
	return &r.release
}

func (m *model) move(t *modelTouched, to rollout.DeviceState) {
	if t.state != to {
		t.excused = false
	}
	t.state, t.evidence, t.changed = to, rollout.NoEvidence, m.now
}

func (m *model) confirm(t *modelTouched, e rollout.Evidence) {
	if t.evidence == rollout.ByReport {
		e = rollout.ByReport
	}
	m.move(t, rollout.Confirmed)
	t.evidence = e
}

// hear has every rollout that touched a device hear it, and judges each.
func (m *model) hear(d *modelDevice, f func(*modelRollout, *modelTouched)) {
	for _, r := range m.rollouts {
		if t := r.touched[d]; t != nil {
			before := *t
			f(r, t)
			if *t != before {
				r.judge()
			}
		}
	}
}

func (r *modelRollout) judge() {
	if r.state != rollout.Running && r.state != rollout.Completed {
		return
	}
	failed, limit := r.ended(), r.Stages[r.stage-1].FailurePercent/100*float64(max(len(r.touched), rollout.FailureBase))
	if failed >= r.budget || float64(failed) > limit {
		r.state = rollout.Halted
	}
}

// trial: the device boots the release on trial.
func (m *model) trial(d *modelDevice, to repository.Release) {
	d.seen, d.known, d.boot = m.now, runs(to), 1
	m.hear(d, func(r *modelRollout, t *modelTouched) {
		if r.release.ManifestHash == to.ManifestHash && isOpen(t.state) {
			m.move(t, rollout.Trial)
		}
	})
}

func (m *model) confirmed(d *modelDevice, to repository.Release) {
	d.seen, d.known, d.boot = m.now, runs(to), 0
	if d.proved != d.known {
		d.retry, d.urgent = false, false
	}
	d.proved = d.known
	delete(d.rejected, to.Version().String())
	m.hear(d, func(r *modelRollout, t *modelTouched) {
		if r.release.ManifestHash == to.ManifestHash {
			m.confirm(t, rollout.ByReport)
		}
	})
}

func (m *model) reverted(d *modelDevice, from repository.Release) {
	d.seen, d.known, d.boot, d.retry = m.now, d.running, 2, false
	d.rejected[from.Version().String()] = true
	m.hear(d, func(r *modelRollout, t *modelTouched) {
		if r.release.ManifestHash == from.ManifestHash {
			m.move(t, rollout.Reverted)
		}
	})
}

// failed: the device could not take the release; lasting: and never will.
func (m *model) failed(d *modelDevice, what repository.Release, lasting bool) {
	d.seen = m.now
	if lasting {
		d.retry = false
		d.rejected[what.Version().String()] = true
	}
	m.hear(d, func(r *modelRollout, t *modelTouched) {
		switch {
		case r.release.ManifestHash != what.ManifestHash:
		case lasting && t.state != rollout.Confirmed && t.state != rollout.Left:
			m.move(t, rollout.Refused)
		case isOpen(t.state) && t.attempts < 1+max(r.Retries, 0):
			m.move(t, rollout.Retrying)
		case isOpen(t.state):
			m.move(t, rollout.Failed)
		}
	})
}

// tick does what is due, in the order in which the rollouts were started.
func (m *model) tick() {
	list := m.byStart()
	slices.Reverse(list)
	for _, r := range list {
		switch {
		case r.state == rollout.Halted:
		case r.withdrawn:
			r.state = rollout.Halted
		case r.state == rollout.Scheduled && !m.now.Before(r.StartAt):
			m.open(r)
		case r.state == rollout.Running, r.state == rollout.Completed:
			m.timeOut(r)
			m.proceed(r)
		}
	}
}

func (m *model) timeOut(r *modelRollout) {
	due, any := m.now.Add(-time.Duration(r.Timeout)), false
	for d, t := range r.touched {
		state := t.state
		switch {
		case t.offered.After(due):
			continue
		case t.state == rollout.Retrying && (t.changed.After(due) || d.seen.After(t.changed)):
			continue
		case t.state != rollout.Retrying && !isOpen(t.state):
			continue
		case d.hold:
			state = rollout.Left
		case t.state != rollout.Retrying && t.attempts < 1+max(r.Retries, 0):
			state = rollout.Retrying
		default:
			state = rollout.TimedOut
		}
		m.move(t, state)
		any = true
	}
	if any {
		r.judge()
	}
}

// waiting returns the devices that wait for a rollout: untouched, able, and
// without the release.
func (m *model) waiting(r *modelRollout) (list []*modelDevice) {
	for _, d := range m.devices {
		t := r.touched[d]
		untouched := t == nil || t.state == rollout.Confirmed || t.state == rollout.Left
		able := !d.hold && !r.withdrawn && (d.retry || !d.rejected[r.release.Version().String()])
		if untouched && able && uint64(d.known.Sequence) < sequence(r.release) {
			list = append(list, d)
		}
	}
	return list
}

func (m *model) proceed(r *modelRollout) {
	if r.state != rollout.Running {
		return
	}
	stage, opened := r.Stages[r.stage-1], r.opened[r.stage-1]
	in, here := 0, 0
	for _, d := range m.waiting(r) {
		if r.within(d, r.stage) {
			in++
			if !d.seen.Before(opened) && !d.seen.IsZero() {
				here++
			}
		}
	}
	present := r.confirmed() + r.count(charged) + here
	switch {
	case present == 0 && in > 0,
		float64(r.confirmed())*100 < stage.SuccessPercent*float64(present),
		m.now.Before(opened.Add(time.Duration(stage.Soak))),
		stage.Gate && r.stage < len(r.Stages):
		return
	case r.stage < len(r.Stages):
		m.open(r)
	default:
		r.state = rollout.Completed
	}
}

// open opens the next stage of a rollout.
func (m *model) open(r *modelRollout) {
	stage := r.Stages[r.stage]
	cut := uint64(0)
	if r.stage > 0 {
		cut = r.cuts[r.stage-1]
	}
	var positions []uint64
	for _, d := range m.waiting(r) {
		positions = append(positions, rollout.Position(r.id, fleet.Ref{DeviceType: deviceType, ID: d.id}))
	}
	slices.Sort(positions)
	need := stage.Count - len(r.touched)
	if stage.Percent > 0 {
		need = 1 - len(r.touched)
		share := uint64(math.MaxUint64)
		if stage.Percent < 100 {
			share = uint64(stage.Percent / 100 * (1 << 63) * 2)
		}
		cut = max(cut, share)
	}
	if need > 0 && len(positions) > 0 {
		cut = max(cut, positions[min(need, len(positions))-1]+1)
	}
	r.state, r.stage = rollout.Running, r.stage+1
	r.cuts, r.opened = append(r.cuts, cut), append(r.opened, m.now)
	r.budget = r.MaxUnproven
	if r.budget == 0 {
		r.budget = rollout.MinBudget // 1 % of a few is less
	}
}

// author creates every rollout.
var author = alice

// act does what an operator orders, and reports whether that is possible.
func (m *model) act(r *modelRollout, by auth.Actor, a rollout.Action) bool {
	possible := map[rollout.Action][]rollout.State{
		rollout.Start: {rollout.Draft}, rollout.Approve: {rollout.Awaiting}, rollout.Pause: {rollout.Running, rollout.Completed},
		rollout.Resume: {rollout.Paused, rollout.Halted}, rollout.Advance: {rollout.Running},
		rollout.Halt:   {rollout.Running, rollout.Paused, rollout.Completed},
		rollout.Abort:  {rollout.Awaiting, rollout.Scheduled, rollout.Running, rollout.Paused, rollout.Halted, rollout.Completed},
		rollout.Delete: {rollout.Draft},
	}
	if !slices.Contains(possible[a], r.state) || a == rollout.Advance && r.stage == len(r.Stages) ||
		(a == rollout.Start || a == rollout.Resume) && r.withdrawn || a == rollout.Approve && by.Name == author.Name {
		return false
	}
	switch a {
	case rollout.Start:
		m.started++
		r.state, r.order, r.budget = rollout.Scheduled, m.started, max(r.MaxUnproven, 0)
		if r.budget == 0 {
			r.budget = rollout.MinBudget
		}
		if m.critical {
			r.state = rollout.Awaiting
		}
	case rollout.Approve:
		r.state = rollout.Scheduled
	case rollout.Pause:
		r.state = rollout.Paused
	case rollout.Resume:
		r.state = rollout.Running
		for _, t := range r.touched {
			if hasEnded(t.state) {
				t.excused = true
			}
			if isOpen(t.state) {
				t.offered = m.now
			}
		}
	case rollout.Advance:
		m.open(r)
	case rollout.Halt:
		r.state = rollout.Halted
	case rollout.Abort:
		r.state = rollout.Aborted
	case rollout.Delete:
		delete(m.rollouts, r.Name)
	}
	return true
}
