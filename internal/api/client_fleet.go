package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/fleet"
)

// EditDevice implements Management.
func (c *Client) EditDevice(ctx context.Context, ref fleet.Ref, edit fleet.Edit, why string) (d Device, err error) {
	path, err := devicePath(ref)
	if err != nil {
		return Device{}, err
	}
	raw, err := json.Marshal(editJSON{edit, why})
	if err != nil {
		return Device{}, fmt.Errorf("PATCH %s: %w", path, err)
	}
	return d, c.call(ctx, http.MethodPatch, path, typeJSON, raw, &d)
}

// EditDevices implements Management.
func (c *Client) EditDevices(ctx context.Context, e EditDevices) (fleet.Edited, error) {
	return postJSON[fleet.Edited](ctx, c, "/api/v1/devices/edit", e)
}

// ImportDevices implements Management.
func (c *Client) ImportDevices(ctx context.Context, in fleet.Import) (fleet.Imported, error) {
	return postJSON[fleet.Imported](ctx, c, "/api/v1/devices/import", in)
}

// DeviceHistory implements Management.
func (c *Client) DeviceHistory(ctx context.Context, ref fleet.Ref, q HistoryQuery) ([]LifeEvent, error) {
	path, err := devicePath(ref)
	if err != nil {
		return nil, err
	}
	return get[[]LifeEvent](ctx, c, path+"/history", query("before", decimal(q.Before), "limit", decimal(int64(q.Limit))))
}

// FleetSummary implements Management.
func (c *Client) FleetSummary(ctx context.Context, q SummaryQuery) (fleet.Summary, error) {
	return get[fleet.Summary](ctx, c, "/api/v1/fleet/summary", query("device_type", q.DeviceType, "filter", q.Filter, "label", q.Label))
}
