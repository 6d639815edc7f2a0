package api

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// mayPin asks for an administrator where an edit pins devices of a type that
// needs a second person for its rollouts: a pin is offered past all of them, so
// one approver could bring a release to every device by himself.
func (l local) mayPin(ctx context.Context, edit fleet.Edit, deviceTypes []string) error {
	if edit.Pin == nil || *edit.Pin == "" || l.actor.Role >= auth.Administrator {
		return nil
	}
	for _, t := range deviceTypes {
		settings, err := l.cfg.Rollouts.Type(ctx, t)
		if err != nil {
			return err
		}
		if settings.Offer == rollout.Rollouts && settings.Critical {
			err := fmt.Errorf("%s pins a device of %s, which is critical: this needs %s: %w", l.actor.Name, t, auth.Administrator, auth.ErrForbidden)
			return l.forbid(ctx, "device.edit", err)
		}
	}
	return nil
}
