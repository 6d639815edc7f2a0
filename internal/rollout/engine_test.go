package rollout_test

import (
	"errors"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/trust"
)

func TestARolloutFromItsFirstStageToItsEnd(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(40)
	if n := w.count(list, r); n != 0 {
		t.Fatalf("%d devices are offered a release without a rollout", n)
	}
	begun := w.begin(w.spec("spring", r))
	if begun.State != rollout.Running || begun.Stage != 1 || begun.Progress.Target != 40 {
		t.Fatalf("begun %+v", begun)
	}
	first := 0
	for _, d := range list {
		if w.offered(d, r) {
			first++
			w.install(d, r)
		}
	}
	if first < 8 || first > 32 {
		t.Errorf("half of 40 devices are %d", first)
	}
	w.pass(30 * time.Minute)
	if shown := w.show("spring"); shown.Stage != 1 || shown.Progress.Confirmed != first || shown.Progress.ByReport != first {
		t.Errorf("while it soaks: %+v", shown)
	}
	w.pass(31 * time.Minute)
	if shown := w.show("spring"); shown.Stage != 2 {
		t.Fatalf("after the soak: %+v", shown)
	}
	for _, d := range list {
		if w.offered(d, r) {
			w.install(d, r)
		}
	}
	w.pass(time.Second)
	shown := w.show("spring")
	if p := shown.Progress; shown.State != rollout.Completed || p.Confirmed != 40 || p.Touched != 40 || p.Unproven != 0 || p.Waiting != 0 {
		t.Errorf("at the end: %+v", shown)
	}
	late := w.device("dev-late", fleet.NewDevice{})
	if !w.offered(late, r) {
		t.Error("a device that comes after the end is not offered the release")
	}
}

func TestAPauseHaltOrAbortBindsTheNextCheck(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(10)
	w.begin(w.spec("spring", r, func(s *rollout.Spec) { s.Stages = s.Stages[1:] }))
	if n := w.count(list[:5], r); n != 5 {
		t.Fatalf("offered to %d of 5", n)
	}
	w.act("spring", rollout.Pause)
	if n := w.count(list, r); n != 0 {
		t.Errorf("while it is paused, offered to %d", n)
	}
	w.act("spring", rollout.Resume)
	if n := w.count(list[:5], r); n != 5 {
		t.Errorf("resumed: offered to %d of 5", n)
	}
	if p := w.show("spring").Progress; p.Touched != 5 || p.Unproven != 5 {
		t.Errorf("an offer that was taken back and given again counts once: %+v", p)
	}
	w.act("spring", rollout.Halt)
	if n := w.count(list, r); n != 0 {
		t.Errorf("halted: offered to %d", n)
	}
	if _, err := w.Act(t.Context(), alice, "spring", rollout.Resume, ""); !errors.Is(err, rollout.ErrInvalid) {
		t.Errorf("resumed without a reason: %v", err)
	}
	w.act("spring", rollout.Abort)
	if n := w.count(list, r); n != 0 {
		t.Errorf("aborted: offered to %d", n)
	}
	if _, err := w.Act(t.Context(), alice, "spring", rollout.Resume, "again"); !errors.Is(err, rollout.ErrState) {
		t.Errorf("resumed after the end: %v", err)
	}
}

func TestEachEvidenceIsNamedForWhatItIs(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	reports, checks := w.device("reports", fleet.NewDevice{}), w.device("checks", fleet.NewDevice{})
	token := w.device("token", fleet.NewDevice{Level: fleet.TokenOnly})
	forger := w.device("forger", fleet.NewDevice{})
	w.begin(w.spec("spring", r, func(s *rollout.Spec) { s.Stages = s.Stages[1:] }))
	for _, d := range []*device{reports, checks, token, forger} {
		if !w.offered(d, r) {
			t.Fatalf("%s is not offered the release", d.id)
		}
	}
	w.install(reports, r)
	checks.running = runs(r)
	w.check(checks)
	w.install(token, r)
	w.report(forger, trust.EventConfirmed, about(r)) // but what it says it runs is the old image
	p := w.show("spring").Progress
	if p.ByReport != 1 || p.ByCheck != 1 || p.ByToken != 1 || p.Confirmed != 3 || p.Unproven != 1 {
		t.Errorf("progress %+v", p)
	}
	w.report(checks, trust.EventConfirmed, about(r))
	if p := w.show("spring").Progress; p.ByReport != 2 || p.ByCheck != 0 || p.Confirmed != 3 {
		t.Errorf("a report is the better evidence: %+v", p)
	}
}
