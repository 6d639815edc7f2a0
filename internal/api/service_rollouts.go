package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

func (l local) CreateRollout(ctx context.Context, spec rollout.Spec) (rollout.Rollout, error) {
	if err := l.allow(ctx, auth.Publisher, "rollout.create", spec.DeviceType); err != nil {
		return rollout.Rollout{}, err
	}
	r, err := l.cfg.Rollouts.Create(ctx, l.actor, spec)
	return r, l.refused(ctx, "rollout.create", "", err)
}

func (l local) PlanRollout(ctx context.Context, spec rollout.Spec) (rollout.Plan, error) {
	if err := l.allow(ctx, auth.Viewer, "rollout.plan", spec.DeviceType); err != nil {
		return rollout.Plan{}, err
	}
	end, err := l.turns.take(ctx, l.actor, "fleet")
	if err != nil {
		return rollout.Plan{}, err
	}
	defer end()
	return l.cfg.Rollouts.Plan(ctx, spec)
}

func (l local) Rollouts(ctx context.Context, q rollout.Query) ([]rollout.Rollout, error) {
	if err := l.allow(ctx, auth.Viewer, "rollout.list", q.DeviceType); err != nil {
		return nil, err
	}
	limit, err := pageOf("rollouts", q.Limit)
	if err != nil {
		return nil, err
	}
	q.Limit = limit
	return l.cfg.Rollouts.List(ctx, q)
}

func (l local) Rollout(ctx context.Context, name string) (rollout.Rollout, error) {
	return l.rollout(ctx, auth.Viewer, "rollout.show", name)
}

// rollout finds a rollout for an actor who may do something with it.
func (l local) rollout(ctx context.Context, needed auth.Role, action, name string) (rollout.Rollout, error) {
	if err := l.allowSome(ctx, needed, action); err != nil {
		return rollout.Rollout{}, err
	}
	r, err := l.cfg.Rollouts.Show(ctx, name)
	if err != nil {
		return rollout.Rollout{}, err
	}
	if err := l.within(ctx, action, r.DeviceType); err != nil {
		return rollout.Rollout{}, err
	}
	return r, nil
}

func (l local) RolloutDevices(ctx context.Context, name string, q rollout.DeviceQuery) ([]rollout.Device, error) {
	if _, err := l.rollout(ctx, auth.Viewer, "rollout.devices", name); err != nil {
		return nil, err
	}
	limit, err := pageOf("devices of a rollout", q.Limit)
	if err != nil {
		return nil, err
	}
	q.Limit = limit
	return l.cfg.Rollouts.Devices(ctx, name, q)
}

// pageOf returns how many entries an answer has: 0 asks for as many as there
// may be.
func pageOf(what string, limit int) (int, error) {
	if limit < 0 || limit > MaxPage {
		return 0, fmt.Errorf("list %s: %w: limit %d, at most %d", what, ErrInvalid, limit, MaxPage)
	}
	if limit == 0 {
		return MaxPage, nil
	}
	return limit, nil
}

func (l local) ActOnRollout(ctx context.Context, name string, action rollout.Action, why string) (rollout.Rollout, error) {
	needed := auth.Approver
	if action == rollout.Delete {
		needed = auth.Publisher
	}
	seen, err := l.rollout(ctx, needed, "rollout."+string(action), name)
	if err != nil {
		return rollout.Rollout{}, err
	}
	r, err := l.cfg.Rollouts.Act(ctx, l.actor, seen, action, why)
	if errors.Is(err, rollout.ErrAuthor) {
		err = l.refused(ctx, "rollout."+string(action), "rollout:"+name, err)
	}
	return r, err
}

func (l local) DeviceTypes(ctx context.Context) ([]rollout.TypeSettings, error) {
	if err := l.allow(ctx, auth.Viewer, "type.list"); err != nil {
		return nil, err
	}
	return l.cfg.Rollouts.Types(ctx)
}

func (l local) DeviceType(ctx context.Context, deviceType string) (rollout.TypeSettings, error) {
	if err := l.allow(ctx, auth.Viewer, "type.show", deviceType); err != nil {
		return rollout.TypeSettings{}, err
	}
	return l.cfg.Rollouts.Type(ctx, deviceType)
}

func (l local) SetDeviceType(ctx context.Context, settings rollout.TypeSettings) (rollout.TypeSettings, error) {
	if err := l.allow(ctx, auth.Administrator, "type.set", settings.DeviceType); err != nil {
		return rollout.TypeSettings{}, err
	}
	return l.cfg.Rollouts.SetType(ctx, l.actor, settings)
}
