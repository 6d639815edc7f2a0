package api_test

import (
	"errors"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/otatest"
)

// spec is a rollout of a release to one half and then to all.
func spec(name string, r api.Release) rollout.Spec {
	return rollout.Spec{
		Name: name, DeviceType: otatest.DeviceType, Release: r.Identity,
		Stages: []rollout.Stage{{Percent: 50, Soak: rollout.Duration(time.Hour)}, {Percent: 100}},
	}
}

func waitsForRollouts(t *testing.T, m api.Management, critical bool) {
	t.Helper()
	settings := rollout.TypeSettings{DeviceType: otatest.DeviceType, Offer: rollout.Rollouts, Critical: critical}
	if got := must(m.SetDeviceType(t.Context(), settings))(t); got != settings {
		t.Fatalf("settings %+v", got)
	}
}

func TestARolloutIsCreatedShownAndDeleted(t *testing.T) {
	each(t, func(t *testing.T, s *otatest.System, m api.Management) {
		ctx := t.Context()
		release := s.Publish("1.0.0", []byte("one"))
		s.Device("dev-1")
		created := must(m.CreateRollout(ctx, spec("spring", release)))(t)
		if created.State != rollout.Draft || created.Version != "1.0.0" || created.Retries != rollout.DefaultRetries || len(created.Actions) != 2 {
			t.Errorf("created %+v", created)
		}
		if shown := must(m.Rollout(ctx, "spring"))(t); shown.ID != created.ID || shown.Stages[1].SuccessPercent != rollout.DefaultSuccess {
			t.Errorf("shown %+v", shown)
		}
		if _, err := m.CreateRollout(ctx, spec("spring", release)); !errors.Is(err, rollout.ErrExists) {
			t.Errorf("created twice: %v", err)
		}
		if list := must(m.Rollouts(ctx, rollout.Query{DeviceType: otatest.DeviceType, State: rollout.Draft}))(t); len(list) != 1 {
			t.Errorf("list %+v", list)
		}
		if _, err := m.ActOnRollout(ctx, "spring", rollout.Start, ""); !errors.Is(err, rollout.ErrOffer) {
			t.Errorf("started while the type offers everything: %v", err)
		}
		if devices := must(m.RolloutDevices(ctx, "spring", rollout.DeviceQuery{}))(t); len(devices) != 0 {
			t.Errorf("devices of a draft: %+v", devices)
		}
		must(m.ActOnRollout(ctx, "spring", rollout.Delete, ""))(t)
		if _, err := m.Rollout(ctx, "spring"); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("after it was deleted: %v", err)
		}
	})
}

func TestTheSettingsOfADeviceType(t *testing.T) {
	each(t, func(t *testing.T, _ *otatest.System, m api.Management) {
		ctx := t.Context()
		if got := must(m.DeviceType(ctx, otatest.DeviceType))(t); got.Offer != rollout.Newest || got.Critical {
			t.Errorf("at first: %+v", got)
		}
		want := rollout.TypeSettings{
			DeviceType: otatest.DeviceType, Offer: rollout.Rollouts, Critical: true,
			SupportEnd: time.Date(2030, 12, 31, 0, 0, 0, 0, time.UTC),
		}
		must(m.SetDeviceType(ctx, want))(t)
		if list := must(m.DeviceTypes(ctx))(t); len(list) != 1 || list[0] != want {
			t.Errorf("list %+v", list)
		}
		if _, err := m.DeviceType(ctx, "toaster"); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("a type that there is not: %v", err)
		}
	})
}

func TestACriticalTypeNeedsASecondPerson(t *testing.T) {
	s := newSystem(t)
	ctx, alice, bob := t.Context(), s.Server.Management("alice"), s.Server.Management("bob")
	waitsForRollouts(t, alice, true)
	must(alice.CreateRollout(ctx, spec("spring", s.Publish("1.0.0", []byte("one")))))(t)
	if started := must(alice.ActOnRollout(ctx, "spring", rollout.Start, ""))(t); started.State != rollout.Awaiting {
		t.Errorf("started: %s", started.State)
	}
	if _, err := alice.ActOnRollout(ctx, "spring", rollout.Approve, ""); !errors.Is(err, rollout.ErrAuthor) {
		t.Errorf("her own approval: %v", err)
	}
	if approved := must(bob.ActOnRollout(ctx, "spring", rollout.Approve, "looked at it"))(t); approved.State == rollout.Awaiting || approved.ApprovedBy != "local:bob" {
		t.Errorf("approved: %+v", approved)
	}
}

// A pin is offered past all rollouts. If one approver could pin, nobody would
// need the second person.
func TestACriticalTypeIsNotPinnedPastTheSecondPerson(t *testing.T) {
	s := newSystem(t)
	ctx, admin := t.Context(), s.Server.Management("admin")
	waitsForRollouts(t, admin, true)
	s.Publish("1.0.0", []byte("one"))
	s.Device("dev-1")
	token := must(admin.AddToken(ctx, auth.NewOperator{Name: "carol", Role: auth.Approver}))(t)
	approver := must(api.NewClient(api.ClientConfig{URL: s.URL, Token: token, Fingerprint: s.Fingerprint}))(t)
	pin := fleet.Edit{Pin: new("1.0.0")}
	if _, err := approver.EditDevice(ctx, ref("dev-1"), pin, "now"); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("an approver pins a device: %v", err)
	}
	if _, err := approver.EditDevices(ctx, api.EditDevices{Filter: "type~*", Edit: pin}); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("an approver pins all devices: %v", err)
	}
	must(approver.EditDevice(ctx, ref("dev-1"), fleet.Edit{Hold: new(true)}, ""))(t)
	must(admin.EditDevice(ctx, ref("dev-1"), pin, "sent in for repair"))(t)
	must(approver.EditDevice(ctx, ref("dev-1"), fleet.Edit{Pin: new("")}, ""))(t)
	waitsForRollouts(t, admin, false)
	must(approver.EditDevices(ctx, api.EditDevices{Filter: "type~*", Edit: pin}))(t)
}
