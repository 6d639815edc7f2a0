package api

import (
	"context"
	"errors"

	"github.com/secure-ota/secure-ota/internal/auth"
)

// Records of what an operator may not do: a burst that shows every door he
// tried, and then one a minute, so that a viewer cannot fill the log.
const (
	forbiddenRate, forbiddenBurst = 1.0 / 60, 60
)

// allow refuses who may not do something, by role or by scope, on record:
// somebody with a valid token tries doors. deviceTypes are those that it is
// about; none stands for all there are, so that whoever forgets them refuses
// more, not less.
func (l local) allow(ctx context.Context, needed auth.Role, action string, deviceTypes ...string) error {
	err := l.actor.Require(needed)
	if err == nil {
		err = l.actor.Permit(action, deviceTypes...)
	}
	return l.forbid(ctx, action, err)
}

// allowSome is allow for what shows the actor's own device types and no more,
// or whose device type is not known yet: within has the rest of the question.
func (l local) allowSome(ctx context.Context, needed auth.Role, action string) error {
	return l.allow(ctx, needed, action, l.actor.Scope.DeviceTypes...)
}

// within refuses what is about other device types than the actor's.
func (l local) within(ctx context.Context, action string, deviceTypes ...string) error {
	return l.forbid(ctx, action, l.actor.Permit(action, deviceTypes...))
}

// allowWide is allow for what could widen a scope: who has one may not.
func (l local) allowWide(ctx context.Context, needed auth.Role, action string) error {
	err := l.actor.Require(needed)
	if err == nil && !l.actor.Scope.IsZero() {
		err = errNarrow
	}
	return l.forbid(ctx, action, err)
}

// forbid puts a refusal on record.
func (l local) forbid(ctx context.Context, action string, err error) error {
	if err == nil || l.actor.Role == auth.NoRole {
		return err
	}
	if l.forbidden.Allow(l.actor.Name, l.cfg.Now()) > 0 {
		l.cfg.Log.Warn("api: forbidden, and too often to be recorded", "actor", l.actor.Name, "action", action)
		return err
	}
	entry := l.actor.Entry("refused.forbidden", action)
	if recordErr := l.cfg.Repository.Store().Change(ctx, entry, nothing); recordErr != nil {
		return errors.Join(err, recordErr)
	}
	return err
}
