package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/store"
)

// A Query bounds a list of rollouts.
type Query struct {
	DeviceType string // empty: all
	State      State  // empty: all
	After      string // name of the last one of the page before; empty: from the first
	Limit      int
}

// tallies are the touched devices of a rollout by stage, state and evidence.
type tallies map[tallied]int

type tallied struct {
	stage    int
	state    string
	evidence Evidence
}

// List returns rollouts in the order of their names.
func (e *Engine) List(ctx context.Context, q Query) ([]Rollout, error) {
	list := []Rollout{}
	err := e.db.View(ctx, func(tx *store.Tx) error {
		rows, err := readRows(tx, `WHERE name > $1 AND ($2 = '' OR device_type = $2) AND ($3 = '' OR state = $3) ORDER BY name LIMIT $4`,
			q.After, q.DeviceType, string(q.State), int64(q.Limit))
		if err != nil {
			return err
		}
		for _, r := range rows {
			view, err := e.view(tx, r)
			if err != nil {
				return err
			}
			list = append(list, view)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list rollouts: %w", err)
	}
	return list, nil
}

// Show returns one rollout.
func (e *Engine) Show(ctx context.Context, name string) (view Rollout, err error) {
	err = e.db.View(ctx, func(tx *store.Tx) error {
		r, err := findRow(tx, name)
		if err != nil {
			return err
		}
		view, err = e.view(tx, r)
		return err
	})
	if err != nil {
		return view, fmt.Errorf("rollout %q: %w", name, err)
	}
	return view, nil
}

func (e *Engine) view(tx *store.Tx, r *row) (Rollout, error) {
	view := Rollout{
		Spec: r.spec, ID: r.id, Version: r.facts.Release.Version, State: r.state, Stage: r.stage,
		CreatedAt: r.createdAt, CreatedBy: r.createdBy, ApprovedAt: r.approvedAt, ApprovedBy: r.approvedBy,
		StartedAt: r.startedAt, StartedBy: r.startedBy, ChangedAt: r.changedAt, ChangedBy: r.changedBy, Why: r.why,
		Actions: r.state.Allowed(),
	}
	if r.facts.Back != nil {
		view.SendBackVersion = r.facts.Back.Version
	}
	counts := tallies{}
	err := tx.Each(`SELECT stage, state, evidence, devices FROM rollout_counts WHERE rollout = $1`, []any{r.id}, func(scan func(...any) error) error {
		var stage, devices int64
		var state, evidence string
		err := scan(&stage, &state, &evidence, &devices)
		counts[tallied{int(stage), state, Evidence(evidence)}] = int(devices)
		return err
	})
	if err != nil {
		return view, err
	}
	view.Progress, err = e.progress(r, counts)
	return view, err
}

// progress puts together what a rollout has touched, which the rows say, and
// what waits for it, which is counted in memory.
func (e *Engine) progress(r *row, counts tallies) (Progress, error) {
	a, err := e.watched(r)
	if err != nil {
		return Progress{}, err
	}
	now := e.census(a)
	p := Progress{Budget: r.budget, Unproven: r.unproven, Touched: r.touched, AsOf: now.at, Stages: []StageProgress{}}
	for k, n := range counts {
		p.Counts.add(k, n)
	}
	over := r.state == Aborted
	if !over {
		p.Waiting, p.Blocked = now.since(r, now.waiting), now.blocked
	}
	p.Target = r.touched + p.Waiting
	for i, stage := range r.spec.Stages {
		s := StageProgress{Stage: stage}
		for k, n := range counts {
			if k.stage == i+1 {
				s.Counts.add(k, n)
			}
			if k.stage <= i+1 && k.state != sentBack {
				s.Target += n
			}
		}
		if !over {
			if s.Waiting = now.stages[i].waiting; i+1 >= r.stage {
				s.Waiting = now.since(r, s.Waiting)
			}
			s.Target += s.Waiting
		}
		if i < len(r.stages) {
			s.OpenedAt = r.stages[i].openedAt
		}
		if i == r.stage-1 && !over {
			s.Updated, s.Present = r.confirmed, r.confirmed+r.unproven+now.stages[i].present
		}
		if i == r.stage-1 && r.state == Running {
			s.Waits = e.lacks(a, &r.counters, now)
		}
		p.Stages = append(p.Stages, s)
	}
	p.Waits, p.ETA = e.waits(r), e.eta(r, p)
	return p, nil
}

// watched returns what is needed to count what waits for a rollout.
func (e *Engine) watched(r *row) (*active, error) {
	g := newGauge()
	if known, ok := e.memory.Load().byID[r.id]; ok {
		g = known.gauge
	}
	return newActive(r, g)
}

func (c *Counts) add(k tallied, n int) {
	switch DeviceState(k.state) {
	case Offered:
		c.Offered += n
	case Downloading:
		c.Downloading += n
	case Installed:
		c.Installed += n
	case Trial:
		c.Trial += n
	case Confirmed:
		c.Confirmed += n
		c.confirmedBy(k.evidence, n)
	case Retrying:
		c.Retrying += n
	case Failed:
		c.Failed += n
	case Reverted:
		c.Reverted += n
	case Refused:
		c.Refused += n
	case TimedOut:
		c.TimedOut += n
	case Left:
		c.Left += n
	case sentBack:
		c.SentBack += n
	}
}

func (c *Counts) confirmedBy(evidence Evidence, n int) {
	switch evidence {
	case ByReport:
		c.ByReport += n
	case ByCheck:
		c.ByCheck += n
	case ByTokenWord:
		c.ByToken += n
	}
}

// waits says why a rollout offers its release to nobody else now.
func (e *Engine) waits(r *row) string {
	now := e.now()
	switch {
	case r.state == Draft:
		return "it is a draft: start it"
	case r.state == Awaiting:
		return "a second person has to approve it"
	case r.state == Scheduled && now.Before(r.spec.StartAt):
		return "it starts at " + r.spec.StartAt.Format(time.RFC3339)
	case r.state == Paused || r.state == Halted:
		return "it is " + string(r.state)
	case !r.state.offers():
		return ""
	case r.unproven >= r.budget:
		return fmt.Sprintf("%d devices are without evidence of success, as many as may be", r.unproven)
	case r.spec.Window != nil && !r.spec.Window.Contains(now):
		return "its maintenance window opens at " + r.spec.Window.next(now).Format(time.RFC3339)
	}
	return ""
}

// eta says when the last device of the target is updated if it goes on as it
// went so far; zero: nobody knows.
func (e *Engine) eta(r *row, p Progress) time.Time {
	now := e.now()
	left, spent := p.Waiting+r.unproven-r.ended, now.Sub(r.startedAt)
	if r.state != Running || r.confirmed == 0 || left <= 0 || spent <= 0 {
		return time.Time{}
	}
	needs := float64(left) * float64(spent) / float64(r.confirmed)
	if r.spec.Pace > 0 {
		needs = max(needs, float64(p.Waiting)/float64(r.spec.Pace)*float64(time.Minute))
	}
	for _, stage := range r.spec.Stages[r.stage-1:] {
		needs = max(needs, float64(stage.Soak))
	}
	if needs > float64(maxDuration) {
		return time.Time{}
	}
	return now.Add(time.Duration(needs)).Truncate(time.Second)
}
