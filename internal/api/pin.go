package api

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// mayPin asks for an administrator where an edit pins a device whose type needs
// a second person for its rollouts: a pin is offered past all of them, so one
// approver could bring a release to every device by himself.
func (l local) mayPin(ctx context.Context, edit fleet.Edit, settings rollout.TypeSettings) error {
	if edit.Pin == nil || *edit.Pin == "" || settings.Offer != rollout.Rollouts || !settings.Critical || l.actor.Role >= auth.Administrator {
		return nil
	}
	err := fmt.Errorf("%s pins a device of %s, which is critical: this needs %s: %w",
		l.actor.Name, settings.DeviceType, auth.Administrator, auth.ErrForbidden)
	return l.forbid(ctx, "device.edit", err)
}

// mayPinAll is mayPin for all devices that a filter selects.
func (l local) mayPinAll(ctx context.Context, edit fleet.Edit, wanted *filter.Filter) error {
	types, err := l.cfg.Rollouts.Types(ctx)
	if err != nil {
		return err
	}
	for _, settings := range types {
		found, err := l.cfg.Fleet.Find(fleet.Query{DeviceType: settings.DeviceType, Filter: wanted, Limit: 1})
		if err == nil && len(found) > 0 {
			err = l.mayPin(ctx, edit, settings)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
