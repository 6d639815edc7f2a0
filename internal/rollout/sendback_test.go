package rollout_test

import (
	"errors"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
)

func TestAfterAHaltTheApprovedDowngradeIsOfferedToWhoRunsTheRelease(t *testing.T) {
	w := newWorld(t)
	old, bad := w.publish("1.0.0"), w.publish("1.1.0")
	back := w.downgrade(old, bad)
	list := w.devices(4)
	took, offered, waits, elsewhere := list[0], list[1], list[2], list[3]
	w.begin(w.spec("spring", bad, all, func(s *rollout.Spec) { s.SendBack = back.Identity() }))
	w.count([]*device{took, offered}, bad)
	w.install(took, bad)
	elsewhere.running = runs(bad) // from a technician
	w.check(elsewhere)
	is := func(when string, d *device, want manifest.Digest) {
		t.Helper()
		w.ms.Add(1000)
		if got := must(w.check(d))(t); got != want {
			t.Errorf("%s: device %s is offered %s, want %s", when, d.id, got, want)
		}
	}
	none := manifest.Digest{}
	is("while it runs", took, none)
	w.act("spring", rollout.Pause)
	is("paused", took, none)
	w.act("spring", rollout.Halt)
	is("halted", took, back.ManifestHash)
	is("halted", offered, none)
	is("halted", waits, none)
	is("halted", elsewhere, none)
	w.install(took, back)
	is("back", took, none)
	if p := w.show("spring").Progress; p.SentBack != 1 || p.Touched != 2 {
		t.Errorf("sent back %d, touched %d", p.SentBack, p.Touched)
	}
	w.act("spring", rollout.Abort)
	took2 := elsewhere
	is("aborted", took2, none)
}

func TestWhatNobodyApprovedLeadsBackNowhere(t *testing.T) {
	w := newWorld(t)
	older, old, bad := w.publish("1.0.0"), w.publish("1.1.0"), w.publish("1.2.0")
	for name, back := range map[string]repository.Release{"no-downgrade": old, "of-another": w.downgrade(older, old), "itself": bad} {
		if _, err := w.Create(t.Context(), alice, w.spec(name, bad, func(s *rollout.Spec) { s.SendBack = back.Identity() })); !errors.Is(err, rollout.ErrRelease) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWithdrawnReleaseHaltsItsRollout(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(2)
	w.begin(w.spec("spring", r, all))
	must(w.Create(t.Context(), alice, w.spec("draft", r)))(t)
	w.count(list[:1], r)
	w.must(w.repo.Withdraw(t.Context(), repository.Actor{Name: "test"}, r.Identity(), "bad"))
	w.must(w.Fleet().Refresh(t.Context()))
	if n := w.count(list, r); n != 0 {
		t.Errorf("it is offered to %d devices", n)
	}
	w.pass(time.Second)
	if shown := w.show("spring"); shown.State != rollout.Halted || shown.Why != "its release was withdrawn" {
		t.Errorf("%s: %s", shown.State, shown.Why)
	}
	if _, err := w.Act(t.Context(), alice, "spring", rollout.Resume, "all the same"); !errors.Is(err, rollout.ErrRelease) {
		t.Errorf("resumed: %v", err)
	}
	if _, err := w.Act(t.Context(), alice, "draft", rollout.Start, ""); !errors.Is(err, rollout.ErrRelease) {
		t.Errorf("started: %v", err)
	}
}

func TestTheRolloutThatWasStartedLastDecides(t *testing.T) {
	w := newWorld(t)
	r1, r2 := w.publish("1.0.0"), w.publish("1.1.0")
	d := w.devices(1)[0]
	must(w.Create(t.Context(), alice, w.spec("newer", r2, all)))(t) // created first, started last
	w.begin(w.spec("older", r1, all))
	if !w.offered(d, r1) {
		t.Fatal("the only one that is on offers nothing")
	}
	w.act("newer", rollout.Start)
	w.ms.Add(1000)
	if !w.offered(d, r2) {
		t.Error("the last one started does not decide")
	}
	for _, stop := range []rollout.Action{rollout.Pause, rollout.Halt} {
		w.act("newer", stop)
		w.ms.Add(1000)
		if hash := must(w.check(d))(t); !hash.IsZero() {
			t.Errorf("after %s the device is offered %s: the older one decides for it", stop, hash)
		}
	}
	w.act("newer", rollout.Abort)
	w.ms.Add(1000)
	if !w.offered(d, r1) {
		t.Error("aborted: the older one does not decide again")
	}
	w.urgent(d)
	w.must(w.Fleet().Edit(t.Context(), admin, fleet.Ref{DeviceType: deviceType, ID: d.id}, fleet.Edit{Hold: new(true)}, "because"))
	w.ms.Add(1000)
	if hash := must(w.check(d))(t); !hash.IsZero() {
		t.Errorf("a held device is offered %s", hash)
	}
}
