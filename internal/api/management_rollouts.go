package api

import (
	"context"

	"github.com/secure-ota/secure-ota/internal/rollout"
)

// RolloutManagement is what an operator does with rollouts and with the
// settings of device types; a part of Management.
type RolloutManagement interface {
	// CreateRollout makes a draft. It refuses (rollout.ErrCohort) a release that
	// devices of the target could never verify. Publisher.
	CreateRollout(ctx context.Context, spec rollout.Spec) (rollout.Rollout, error)
	// PlanRollout says what a rollout would do, and changes nothing. Viewer.
	PlanRollout(ctx context.Context, spec rollout.Spec) (rollout.Plan, error)
	// Rollouts lists rollouts in the order of their names. Viewer.
	Rollouts(ctx context.Context, q rollout.Query) ([]rollout.Rollout, error)
	// Rollout finds one by its name. Viewer.
	Rollout(ctx context.Context, name string) (rollout.Rollout, error)
	// RolloutDevices lists the devices that a rollout has touched, in the order
	// of their ids. Viewer.
	RolloutDevices(ctx context.Context, name string, q rollout.DeviceQuery) ([]rollout.Device, error)
	// ActOnRollout does an action, and returns the rollout as it is then. why is
	// for the audit log; see rollout.Action.NeedsWhy. Approver; to delete a
	// draft: Publisher.
	ActOnRollout(ctx context.Context, name string, action rollout.Action, why string) (rollout.Rollout, error)

	// DeviceTypes lists the settings of all device types. Viewer.
	DeviceTypes(ctx context.Context) ([]rollout.TypeSettings, error)
	// DeviceType returns the settings of one. Viewer.
	DeviceType(ctx context.Context, deviceType string) (rollout.TypeSettings, error)
	// SetDeviceType changes the settings of one. Administrator.
	SetDeviceType(ctx context.Context, settings rollout.TypeSettings) (rollout.TypeSettings, error)
}
