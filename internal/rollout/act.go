package rollout

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// Act does to a rollout, as Show told of it, what an operator orders, and
// returns it as it is then; a draft that was deleted, as it was. why is for the
// audit log. Another rollout that has taken its name by now is not touched: who
// may act on this one may not on that.
func (e *Engine) Act(ctx context.Context, by auth.Actor, seen Rollout, action Action, why string) (Rollout, error) {
	if err := e.order(ctx, by, seen, action, why); err != nil {
		return Rollout{}, fmt.Errorf("%s rollout %s: %w", action, seen.Name, err)
	}
	if action == Delete {
		return seen, nil
	}
	// What follows from it follows at once. It is committed whether that works
	// or not, and the next tick tries again.
	if err := e.Tick(ctx); err != nil {
		e.log.Error("rollout: what follows an action is done later", "rollout", seen.Name, "error", err)
	}
	return e.Show(ctx, seen.Name)
}

func (e *Engine) order(ctx context.Context, by auth.Actor, seen Rollout, action Action, why string) error {
	switch action {
	case Start, Resume:
		if err := action.check(seen.State, why); err != nil {
			return err
		}
		facts, err := e.factsOf(ctx, seen.Spec) // it may have been withdrawn
		if err != nil {
			return err
		}
		if action == Start {
			if err := e.verifiable(ctx, seen.Spec, facts); err != nil {
				return err
			}
		}
	case Advance:
		return e.advance(ctx, by, seen.ID, why)
	}
	return e.act(ctx, by, seen, action, why)
}

// advance opens the next stage on an operator's word.
func (e *Engine) advance(ctx context.Context, by auth.Actor, id, why string) error {
	if err := e.Refresh(ctx); err != nil {
		return err
	}
	var r *row
	err := e.db.View(ctx, func(tx *store.Tx) (err error) {
		r, err = loadRow(tx, id)
		return err
	})
	if err != nil {
		return err
	}
	if err := Advance.check(r.state, why); err != nil {
		return err
	}
	if r.stage == len(r.spec.Stages) {
		return fmt.Errorf("stage %d is the last one: %w", r.stage, ErrState)
	}
	a, err := e.watched(r)
	if err != nil {
		return err
	}
	return e.open(ctx, a, by, "rollout.advance", why)
}

// lifecycle is where a rollout stands, in the audit log.
type lifecycle struct {
	State    State  `json:"state"`
	Stage    int    `json:"stage"`
	Why      string `json:"why,omitempty"`
	Approved string `json:"approved_by,omitempty"`
}

func (r *row) lifecycle() lifecycle { return lifecycle{r.state, r.stage, r.why, r.approvedBy} }

func (e *Engine) act(ctx context.Context, by auth.Actor, seen Rollout, action Action, why string) error {
	return e.db.Change(ctx, by.Entry("rollout."+string(action), object(seen.Name)), func(tx *store.Tx) error {
		revision, err := touch(tx)
		if err != nil {
			return err
		}
		r, err := loadRow(tx, seen.ID) // a draft of that name may be another one by now
		if err != nil {
			return err
		}
		if err := action.check(r.state, why); err != nil {
			return err
		}
		tx.Audit().Before = audit.JSON(r.lifecycle())
		if action == Delete {
			return r.erase(tx)
		}
		r.revision = revision
		if action == Start { // a device that need not wait may be offered it before a stage opens
			r.budget = r.spec.budget(seen.Progress.Target)
		}
		if err := r.apply(tx, by, action); err != nil {
			return err
		}
		r.changedAt, r.changedBy, r.why = tx.Now(), by.Name, why
		tx.Audit().After = audit.JSON(r.lifecycle())
		return r.update(tx)
	})
}

// apply makes the step of an action that the state allows.
func (r *row) apply(tx *store.Tx, by auth.Actor, action Action) error {
	switch action {
	case Start:
		return r.start(tx, by)
	case Approve:
		if err := r.second(tx, by); err != nil {
			return err
		}
		r.approvedAt, r.approvedBy, r.state = tx.Now(), by.Name, Scheduled
	case Pause:
		r.state = Paused
	case Resume:
		return r.resume(tx)
	case Halt:
		r.state = Halted
	case Abort:
		r.state = Aborted
	}
	return nil
}

func (r *row) start(tx *store.Tx, by auth.Actor) error {
	settings, err := loadType(tx, r.spec.DeviceType)
	if err != nil {
		return err
	}
	if settings.Offer != Rollouts {
		return fmt.Errorf("device type %s: %w", r.spec.DeviceType, ErrOffer)
	}
	r.startedBy, r.state = by.Name, Scheduled
	if settings.Critical {
		r.state = Awaiting
	}
	return tx.Get(`SELECT COALESCE(MAX(start_order), 0) + 1 FROM rollouts`, nil, &r.startOrder)
}

// resume lets a rollout go on. Devices that failed before are excused, or they
// would halt it again; those that wait for it have their time anew.
func (r *row) resume(tx *store.Tx) error {
	r.unproven -= r.ended
	r.state, r.ended = Running, 0
	_, err := tx.Exec(`UPDATE rollout_devices SET excused = 1, revision = $1
		WHERE rollout = $2 AND excused = 0 AND state IN ('failed', 'reverted', 'refused', 'timed out')`, r.revision, r.id)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE rollout_devices SET offered_ms = $1, revision = $2
		WHERE rollout = $3 AND state IN ('offered', 'downloading', 'installed', 'trial')`, millis(tx.Now()), r.revision, r.id)
	return err
}
