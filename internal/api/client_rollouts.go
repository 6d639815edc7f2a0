package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
)

// CreateRollout implements Management.
func (c *Client) CreateRollout(ctx context.Context, spec rollout.Spec) (rollout.Rollout, error) {
	return postJSON[rollout.Rollout](ctx, c, "/api/v1/rollouts", spec)
}

// PlanRollout implements Management.
func (c *Client) PlanRollout(ctx context.Context, spec rollout.Spec) (rollout.Plan, error) {
	return postJSON[rollout.Plan](ctx, c, "/api/v1/rollouts/plan", spec)
}

// Rollouts implements Management.
func (c *Client) Rollouts(ctx context.Context, q rollout.Query) ([]rollout.Rollout, error) {
	return get[[]rollout.Rollout](ctx, c, "/api/v1/rollouts", query("device_type", q.DeviceType, "state", string(q.State),
		"after", q.After, "limit", decimal(int64(q.Limit))))
}

// Rollout implements Management.
func (c *Client) Rollout(ctx context.Context, name string) (rollout.Rollout, error) {
	path, err := rolloutPath(name)
	if err != nil {
		return rollout.Rollout{}, err
	}
	return get[rollout.Rollout](ctx, c, path, nil)
}

// RolloutDevices implements Management.
func (c *Client) RolloutDevices(ctx context.Context, name string, q rollout.DeviceQuery) ([]rollout.Device, error) {
	path, err := rolloutPath(name)
	if err != nil {
		return nil, err
	}
	return get[[]rollout.Device](ctx, c, path+"/devices", query("state", string(q.State), "after", q.After, "limit", decimal(int64(q.Limit))))
}

// ActOnRollout implements Management.
func (c *Client) ActOnRollout(ctx context.Context, name string, action rollout.Action, why string) (rollout.Rollout, error) {
	path, err := rolloutPath(name)
	if err != nil {
		return rollout.Rollout{}, err
	}
	return postJSON[rollout.Rollout](ctx, c, path+"/"+url.PathEscape(string(action)), whyJSON{why})
}

// DeviceTypes implements Management.
func (c *Client) DeviceTypes(ctx context.Context) ([]rollout.TypeSettings, error) {
	return get[[]rollout.TypeSettings](ctx, c, "/api/v1/device-types", nil)
}

// DeviceType implements Management.
func (c *Client) DeviceType(ctx context.Context, deviceType string) (rollout.TypeSettings, error) {
	path, err := typePath(deviceType)
	if err != nil {
		return rollout.TypeSettings{}, err
	}
	return get[rollout.TypeSettings](ctx, c, path, nil)
}

// SetDeviceType implements Management.
func (c *Client) SetDeviceType(ctx context.Context, settings rollout.TypeSettings) (set rollout.TypeSettings, err error) {
	path, err := typePath(settings.DeviceType)
	if err != nil {
		return set, err
	}
	raw, err := json.Marshal(settings)
	if err != nil {
		return set, fmt.Errorf("PUT %s: %w", path, err)
	}
	return set, c.call(ctx, http.MethodPut, path, typeJSON, raw, &set)
}

// rolloutPath refuses names that would lead to another path.
func rolloutPath(name string) (string, error) {
	if err := manifest.CheckName(name); err != nil {
		return "", fmt.Errorf("rollout %q: %w: %v", name, rollout.ErrNotFound, err)
	}
	return "/api/v1/rollouts/" + name, nil
}

func typePath(deviceType string) (string, error) {
	if err := manifest.CheckName(deviceType); err != nil {
		return "", fmt.Errorf("device type %q: %w: %v", deviceType, ErrNotFound, err)
	}
	return "/api/v1/device-types/" + deviceType, nil
}
