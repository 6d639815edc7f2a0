package api

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/manifest"
)

func (l local) EditDevice(ctx context.Context, ref fleet.Ref, edit fleet.Edit, why string) (Device, error) {
	if err := l.allow(ctx, auth.Approver, "device.edit", ref.DeviceType); err != nil {
		return Device{}, err
	}
	if err := l.mayPin(ctx, edit, []string{ref.DeviceType}); err != nil {
		return Device{}, err
	}
	if err := l.cfg.Fleet.Edit(ctx, l.actor, ref, edit, why); err != nil {
		return Device{}, err
	}
	return l.showDevice(ref)
}

func (l local) EditDevices(ctx context.Context, e EditDevices) (fleet.Edited, error) {
	needed := auth.Approver
	if e.DryRun {
		needed = auth.Viewer
	}
	if err := l.allow(ctx, needed, "device.edit", e.DeviceType); err != nil {
		return fleet.Edited{}, err
	}
	wanted, err := filter.Parse(e.Filter)
	if err != nil {
		return fleet.Edited{}, err
	}
	if wanted.IsZero() {
		return fleet.Edited{}, fmt.Errorf("edit devices: %w: the filter is empty; if all are meant, say type~*", ErrInvalid)
	}
	if e.Limit < 0 {
		return fleet.Edited{}, fmt.Errorf("edit devices: %w: limit %d", ErrInvalid, e.Limit)
	}
	if e.Limit == 0 {
		e.Limit = DefaultEditLimit
	}
	if e.DryRun {
		end, err := l.turns.take(ctx, l.actor, "fleet")
		if err != nil {
			return fleet.Edited{}, err
		}
		defer end()
	}
	return l.cfg.Fleet.EditMany(ctx, l.actor, fleet.EditMany{
		DeviceType: e.DeviceType, Filter: wanted, Edit: e.Edit, Why: e.Why, Limit: e.Limit, DryRun: e.DryRun,
		May: func(deviceTypes []string) error { return l.mayPin(ctx, e.Edit, deviceTypes) },
	})
}

func (l local) ImportDevices(ctx context.Context, in fleet.Import) (fleet.Imported, error) {
	var types []string
	for _, d := range in.Devices {
		types = append(types, d.DeviceType)
	}
	if err := l.allow(ctx, auth.Administrator, "device.import", types...); err != nil {
		return fleet.Imported{}, err
	}
	return l.cfg.Fleet.Import(ctx, l.actor, in)
}

func (l local) FleetSummary(ctx context.Context, q SummaryQuery) (fleet.Summary, error) {
	if err := l.allow(ctx, auth.Viewer, "fleet.summary", q.DeviceType); err != nil {
		return fleet.Summary{}, err
	}
	end, err := l.turns.take(ctx, l.actor, "fleet")
	if err != nil {
		return fleet.Summary{}, err
	}
	defer end()
	wanted, err := filter.Parse(q.Filter)
	if err != nil {
		return fleet.Summary{}, err
	}
	if q.Label != "" {
		if err := manifest.CheckName(q.Label); err != nil {
			return fleet.Summary{}, fmt.Errorf("fleet summary: %w: label: %v", ErrInvalid, err)
		}
	}
	return l.cfg.Fleet.Summarize(q.DeviceType, wanted, q.Label)
}

func (l local) DeviceHistory(ctx context.Context, ref fleet.Ref, q HistoryQuery) ([]LifeEvent, error) {
	if err := l.allow(ctx, auth.Viewer, "device.history", ref.DeviceType); err != nil {
		return nil, err
	}
	if _, err := l.cfg.Fleet.Device(ref); err != nil {
		return nil, err
	}
	records, err := l.cfg.Repository.Store().AuditRecords(ctx, audit.Filter{
		Object: "device:" + ref.String(), Before: q.Before, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	life := []LifeEvent{}
	for _, r := range records {
		life = append(life, l.lifeEvent(ref, r))
	}
	return life, nil
}
