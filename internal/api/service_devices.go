package api

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func (l local) AddDevice(ctx context.Context, d fleet.NewDevice) (fleet.Provisioning, error) {
	if err := l.allow(ctx, auth.Administrator, "device.add", d.DeviceType); err != nil {
		return fleet.Provisioning{}, err
	}
	return l.cfg.Fleet.Add(ctx, l.actor, d)
}

func (l local) AddEnrolmentCode(ctx context.Context, c fleet.NewCode) (EnrolmentCode, error) {
	if err := l.allow(ctx, auth.Administrator, "enrolment.add", c.DeviceType); err != nil {
		return EnrolmentCode{}, err
	}
	code, expires, err := l.cfg.Fleet.AddCode(ctx, l.actor, c)
	return EnrolmentCode{code, expires}, err
}

func (l local) Devices(ctx context.Context, q DeviceQuery) ([]Device, error) {
	if err := l.allow(ctx, auth.Viewer, "device.list", q.DeviceType); err != nil {
		return nil, err
	}
	end, err := l.turns.take(ctx, l.actor, "fleet")
	if err != nil {
		return nil, err
	}
	defer end()
	if q.Limit < 0 || q.Limit > MaxPage {
		return nil, fmt.Errorf("list devices: %w: limit %d, at most %d", ErrInvalid, q.Limit, MaxPage)
	}
	if q.Limit == 0 {
		q.Limit = MaxPage
	}
	wanted, err := filter.Parse(q.Filter)
	if err != nil {
		return nil, err
	}
	order, err := fleet.ParseOrder(q.Sort)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	found, err := l.cfg.Fleet.Find(fleet.Query{
		DeviceType: q.DeviceType, Filter: wanted, Order: order, After: fleet.Cursor{Ref: q.After, Key: q.AfterKey}, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	list := []Device{}
	for _, d := range found {
		list = append(list, l.deviceOf(d))
	}
	return list, nil
}

// countDevices counts the devices that the actor may see.
func (l local) countDevices() (n int) {
	if len(l.actor.Scope.DeviceTypes) == 0 {
		return l.cfg.Fleet.Count()
	}
	for _, t := range l.actor.Scope.DeviceTypes {
		for page := l.cfg.Fleet.Devices(t, fleet.Ref{}, MaxPage); len(page) > 0; page = l.cfg.Fleet.Devices(t, page[len(page)-1].Ref, MaxPage) {
			n += len(page)
		}
	}
	return n
}

func (l local) Device(ctx context.Context, ref fleet.Ref) (Device, error) {
	if err := l.allow(ctx, auth.Viewer, "device.show", ref.DeviceType); err != nil {
		return Device{}, err
	}
	return l.showDevice(ref)
}

// showDevice is Device for who was allowed to do something with it.
func (l local) showDevice(ref fleet.Ref) (Device, error) {
	d, err := l.cfg.Fleet.Device(ref)
	if err != nil {
		return Device{}, err
	}
	return l.deviceOf(d), nil
}

func (l local) RevokeDevice(ctx context.Context, ref fleet.Ref, why string) error {
	if err := l.allow(ctx, auth.Administrator, "device.revoke", ref.DeviceType); err != nil {
		return err
	}
	return l.cfg.Fleet.Revoke(ctx, l.actor, ref, why)
}

func (l local) RetryDevice(ctx context.Context, ref fleet.Ref) error {
	if err := l.allow(ctx, auth.Administrator, "device.retry", ref.DeviceType); err != nil {
		return err
	}
	return l.cfg.Fleet.Retry(ctx, l.actor, ref)
}
