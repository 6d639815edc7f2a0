package rollout

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// Act does to a rollout what an operator orders, and returns it as it is then;
// a draft that was deleted, as it was. why is for the audit log.
func (e *Engine) Act(ctx context.Context, by auth.Actor, name string, action Action, why string) (Rollout, error) {
	before, err := e.Show(ctx, name)
	if err == nil {
		err = e.act(ctx, by, name, action, why)
	}
	if err != nil {
		return Rollout{}, fmt.Errorf("%s rollout %s: %w", action, name, err)
	}
	if action == Delete {
		return before, nil
	}
	return e.Show(ctx, name)
}

// lifecycle is where a rollout stands, in the audit log.
type lifecycle struct {
	State    State  `json:"state"`
	Stage    int    `json:"stage"`
	Why      string `json:"why,omitempty"`
	Approved string `json:"approved_by,omitempty"`
}

func (r *row) lifecycle() lifecycle { return lifecycle{r.state, r.stage, r.why, r.approvedBy} }

func (e *Engine) act(ctx context.Context, by auth.Actor, name string, action Action, why string) error {
	return e.db.Change(ctx, by.Entry("rollout."+string(action), object(name)), func(tx *store.Tx) error {
		revision, err := touch(tx)
		if err != nil {
			return err
		}
		r, err := findRow(tx, name)
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
		if err := r.apply(tx, by, action); err != nil {
			return err
		}
		r.changedAt, r.changedBy, r.why, r.revision = tx.Now(), by.Name, why, revision
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
		if by.Name == r.createdBy {
			return fmt.Errorf("%w: %s is its author", ErrAuthor, by.Name)
		}
		r.approvedAt, r.approvedBy, r.state = tx.Now(), by.Name, Scheduled
	case Pause:
		r.state = Paused
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
