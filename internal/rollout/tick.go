package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// Tick does what is due: it opens stages, ends what is stuck and halts what
// lost its release. Any number of servers may do so at the same time: each
// step looks in its transaction whether it still has to be made.
func (e *Engine) Tick(ctx context.Context) error {
	if err := e.Refresh(ctx); err != nil {
		return err
	}
	e.forget()
	var errs []error
	byStart := func(a, b *active) int { return cmp.Compare(a.startOrder, b.startOrder) }
	for _, a := range slices.SortedFunc(maps.Values(e.memory.Load().byID), byStart) {
		if err := e.tend(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("rollout %s: %w", a.spec.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) tend(ctx context.Context, a *active) error {
	switch {
	case a.state == Halted:
		return nil
	case e.fleet.Withdrawn(a.facts.Release.Hash):
		return e.haltWithdrawn(ctx, a)
	case a.state == Scheduled && !e.now().Before(a.spec.StartAt):
		return e.open(ctx, a, auth.Actor{Name: system}, "rollout.open", "its time has come")
	case a.state.offers():
		if err := e.timeOut(ctx, a); err != nil {
			return err
		}
		return e.proceed(ctx, a.id)
	}
	return nil
}

// proceed opens the next stage, or ends the rollout, when the open stage has
// what it needs.
func (e *Engine) proceed(ctx context.Context, id string) error {
	a, ok := e.memory.Load().byID[id] // as the step before left it
	if !ok || a.state != Running {
		return nil
	}
	if e.lacks(a, a.gauge.counters.Load(), e.census(a)) != "" {
		return nil
	}
	if a.stage < len(a.spec.Stages) {
		return e.open(ctx, a, auth.Actor{Name: system}, "rollout.open", fmt.Sprintf("stage %d has what it needs", a.stage))
	}
	return e.step(ctx, a, auth.Actor{Name: system}, "rollout.complete", func(tx *store.Tx, r *row) error {
		if r.state != Running || r.stage != a.stage {
			return store.NoChange
		}
		r.state, r.why = Completed, "its last stage has what it needs"
		return nil
	})
}

// lacks says what the open stage lacks before the next one opens; empty:
// nothing.
func (e *Engine) lacks(a *active, c *counters, now *census) string {
	stage, opened := a.spec.Stages[a.stage-1], a.stages[a.stage-1]
	waits := now.stages[a.stage-1]
	present := c.confirmed + c.unproven + waits.present
	switch done := float64(c.confirmed) * 100; {
	case present == 0 && waits.waiting+waits.left > 0:
		return fmt.Sprintf("none of its %d devices was here yet", waits.waiting+waits.left)
	case done < stage.SuccessPercent*float64(present):
		return fmt.Sprintf("%d of the %d devices that were here run it, %g %% have to", c.confirmed, present, stage.SuccessPercent)
	}
	if end := opened.openedAt.Add(time.Duration(stage.Soak)); e.now().Before(end) {
		return "it soaks until " + end.Format(time.RFC3339)
	}
	if stage.Gate && a.stage < len(a.spec.Stages) {
		return "an operator has to advance it"
	}
	return ""
}

// open opens the next stage.
func (e *Engine) open(ctx context.Context, a *active, by auth.Actor, action, why string) error {
	cut, target := e.cut(a)
	next := a.stage + 1
	return e.step(ctx, a, by, action, func(tx *store.Tx, r *row) error {
		if r.stage != a.stage || r.state != Running && r.state != Scheduled || next > len(r.spec.Stages) {
			return store.NoChange
		}
		if r.state == Scheduled {
			r.startedAt = tx.Now()
		}
		r.state, r.stage, r.why, r.budget = Running, next, why, r.spec.budget(target)
		r.stages = append(r.stages, openedStage{cut, tx.Now()})
		_, err := tx.Exec(`INSERT INTO rollout_stages (rollout, stage, cut, opened_ms) VALUES ($1, $2, $3, $4)`,
			r.id, int64(next), int64(cut), millis(tx.Now()))
		return err
	})
}

func (e *Engine) haltWithdrawn(ctx context.Context, a *active) error {
	return e.step(ctx, a, auth.Actor{Name: system}, "rollout.halt", func(_ *store.Tx, r *row) error {
		if r.state != a.state {
			return store.NoChange
		}
		r.state, r.why = Halted, "its release was withdrawn"
		return nil
	})
}

// step changes the state of a rollout in a transaction of its own. change may
// return store.NoChange: another server was first.
func (e *Engine) step(ctx context.Context, a *active, by auth.Actor, action string, change func(*store.Tx, *row) error) error {
	var moved *row
	err := e.db.Change(ctx, by.Entry(action, object(a.spec.Name)), func(tx *store.Tx) error {
		revision, err := touch(tx)
		if err != nil {
			return err
		}
		r, err := loadRow(tx, a.id)
		if err != nil {
			return err
		}
		before := r.lifecycle()
		if err := change(tx, r); err != nil {
			return err
		}
		r.changedAt, r.changedBy, r.revision = tx.Now(), by.Name, revision
		tx.Audit().Before, tx.Audit().After = audit.JSON(before), audit.JSON(r.lifecycle())
		moved = r
		return r.update(tx)
	})
	if err == nil && moved != nil {
		e.settled([]*row{moved}, nil)()
	}
	return err
}

// timeOutPage is how many stuck devices are ended in one transaction.
const timeOutPage = 200

// timeOut ends the attempts of devices that were offered the release and not
// heard of since, and those that were to be offered it again and never came.
func (e *Engine) timeOut(ctx context.Context, a *active) error {
	due, after := e.now().Add(-time.Duration(a.spec.Timeout)), ""
	for {
		page, err := e.stuck(ctx, a.id, due, after)
		if err != nil || len(page) == 0 {
			return err
		}
		var done *ledger
		err = e.db.Change(ctx, auth.Actor{Name: system}.Entry("rollout.timeout", object(a.spec.Name)), func(tx *store.Tx) (err error) {
			done, err = e.endStuck(tx, a, due, page)
			return err
		})
		if err != nil {
			return err
		}
		if done != nil {
			e.settled(rowsOf([]*ledger{done}))()
		}
		if len(page) < timeOutPage {
			return nil
		}
		after = page[len(page)-1].ref.ID
	}
}

func (e *Engine) stuck(ctx context.Context, id string, due time.Time, after string) (list []*touched, err error) {
	err = e.db.View(ctx, func(tx *store.Tx) error {
		list, err = readTouched(tx, `WHERE rollout = $1 AND state IN ('offered', 'downloading', 'installed', 'trial', 'retrying')
			AND offered_ms <= $2 AND device > $3 ORDER BY device LIMIT $4`, id, millis(due), after, int64(timeOutPage))
		return err
	})
	return list, err
}

// timedOut is what the audit log says of ended attempts.
type timedOut struct {
	Devices []string `json:"devices"`
}

func (e *Engine) endStuck(tx *store.Tx, a *active, due time.Time, stuck []*touched) (*ledger, error) {
	revision, err := touch(tx)
	if err != nil {
		return nil, err
	}
	r, err := loadRow(tx, a.id)
	if err != nil {
		return nil, err
	}
	if !r.state.offers() {
		return nil, store.NoChange
	}
	l, ended := &ledger{tx: tx, row: r, revision: revision}, timedOut{}
	for _, s := range stuck {
		t, err := loadTouched(tx, r.id, s.ref)
		if err != nil {
			return nil, err
		}
		state, why := e.timedOut(r, t, due)
		if state == t.state {
			continue // it spoke meanwhile
		}
		t.reason = why
		if err := l.move(t, state, NoEvidence); err != nil {
			return nil, err
		}
		ended.Devices = append(ended.Devices, t.ref.ID)
	}
	if len(ended.Devices) == 0 {
		return nil, store.NoChange
	}
	tx.Audit().After = audit.JSON(ended)
	return l, l.close()
}

// timedOut returns what becomes of a device that was not heard of, and why:
// one that an operator took out is no failure of the release.
func (e *Engine) timedOut(r *row, t *touched, due time.Time) (DeviceState, string) {
	d, err := e.fleet.Device(t.ref)
	late := "no evidence within " + r.spec.Timeout.String()
	switch {
	case t.state == Retrying && (t.changedAt.After(due) || err != nil || d.LastSeen.After(t.changedAt)):
		return t.state, t.reason // it may come yet, or waits for its turn
	case t.state != Retrying && (!t.state.open() || t.offeredAt.After(due)):
		return t.state, t.reason
	case err == nil && (d.Revoked || d.Hold || d.Pin != ""):
		return Left, "an operator took the device out"
	case t.state == Retrying:
		return TimedOut, t.reason + ", and it did not come back"
	case t.attempts < r.spec.attempts():
		return Retrying, late
	}
	return TimedOut, late
}
