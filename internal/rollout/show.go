package rollout

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/store"
)

// A Query bounds a list of rollouts.
type Query struct {
	DeviceType string // empty: all
	State      State  // empty: all
	After      string // name of the last one of the page before; empty: from the first
	Limit      int
}

// List returns rollouts in the order of their names.
func (e *Engine) List(ctx context.Context, q Query) ([]Rollout, error) {
	var rows []*row
	err := e.db.View(ctx, func(tx *store.Tx) (err error) {
		rows, err = readRows(tx, `WHERE name > $1 AND ($2 = '' OR device_type = $2) AND ($3 = '' OR state = $3) ORDER BY name LIMIT $4`,
			q.After, q.DeviceType, string(q.State), int64(q.Limit))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list rollouts: %w", err)
	}
	list := []Rollout{}
	for _, r := range rows {
		list = append(list, e.viewOf(ctx, r))
	}
	return list, nil
}

// Show returns one rollout.
func (e *Engine) Show(ctx context.Context, name string) (Rollout, error) {
	var r *row
	err := e.db.View(ctx, func(tx *store.Tx) (err error) {
		r, err = findRow(tx, name)
		return err
	})
	if err != nil {
		return Rollout{}, fmt.Errorf("rollout %q: %w", name, err)
	}
	return e.viewOf(ctx, r), nil
}

func (e *Engine) viewOf(ctx context.Context, r *row) Rollout {
	view := Rollout{
		Spec: r.spec, ID: r.id, State: r.state, Stage: r.stage,
		CreatedAt: r.createdAt, CreatedBy: r.createdBy, ApprovedAt: r.approvedAt, ApprovedBy: r.approvedBy,
		StartedAt: r.startedAt, StartedBy: r.startedBy, ChangedAt: r.changedAt, ChangedBy: r.changedBy, Why: r.why,
		Actions:  r.state.Allowed(),
		Progress: Progress{Budget: r.budget, Unproven: r.unproven, Touched: r.touched},
	}
	view.Version = e.versionOf(ctx, r.spec.Release)
	view.SendBackVersion = e.versionOf(ctx, r.spec.SendBack)
	for i, stage := range r.spec.Stages {
		p := StageProgress{Stage: stage}
		if i < len(r.stages) {
			p.OpenedAt = r.stages[i].openedAt
		}
		view.Progress.Stages = append(view.Progress.Stages, p)
	}
	return view
}

// versionOf returns the version of a release, empty if there is none.
func (e *Engine) versionOf(ctx context.Context, identity [32]byte) string {
	release, err := e.repo.Release(ctx, identity)
	if err != nil {
		return ""
	}
	return release.Manifest.Manifest().Version.String()
}
