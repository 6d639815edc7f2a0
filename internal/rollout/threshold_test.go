package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/trust"
)

func TestWhenTheNextStageOpens(t *testing.T) {
	for _, c := range []struct {
		stage                 string
		here, confirmed, gone int // devices that check, of them that prove themselves; that never come
		opens                 bool
	}{
		{"100%", 20, 19, 0, true}, // 95 % exactly, the default
		{"100%", 20, 18, 0, false},
		{"100%,success=50", 4, 2, 0, true},
		{"100%,success=50", 5, 2, 0, false},
		{"100%,success=100", 5, 5, 0, true},
		{"100%,success=100", 5, 4, 0, false},
		{"100%", 2, 2, 30, true}, // who was not here says nothing
		{"100%", 0, 0, 30, false},
		{"100%", 0, 0, 0, true},
		{"100%,success=0.1", 5, 0, 0, false},
		{"100%,success=0.1", 5, 1, 0, true},
		{"3,success=100", 3, 3, 0, true},
	} {
		t.Run(fmt.Sprintf("%s, %d of %d, %d gone", c.stage, c.confirmed, c.here, c.gone), func(t *testing.T) {
			w := newWorld(t)
			r := w.publish("1.0.0")
			var here []*device
			if c.here > 0 {
				here = w.group("here", c.here)
			}
			if c.gone > 0 {
				w.group("gone", c.gone)
			}
			w.begin(w.spec("spring", r, in(t, c.stage, "100%,gate")))
			for i, d := range here {
				if w.offered(d, r) && i < c.confirmed {
					w.install(d, r)
				}
			}
			w.pass(time.Second)
			shown := w.show("spring")
			if opened := shown.Stage == 2; opened != c.opens || (shown.Progress.Stages[0].Waits == "") != c.opens {
				t.Errorf("it is in stage %d, and waits: %q", shown.Stage, shown.Progress.Stages[0].Waits)
			}
		})
	}
}

func TestAStageSoaksToTheMillisecond(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	w.begin(w.spec("spring", r, in(t, "100%,soak=2h", "100%,gate")))
	for _, d := range w.devices(2) {
		w.offered(d, r)
		w.install(d, r)
	}
	w.pass(2*time.Hour - time.Millisecond)
	if shown := w.show("spring"); shown.Stage != 1 || !strings.HasPrefix(shown.Progress.Stages[0].Waits, "it soaks until ") {
		t.Errorf("stage %d: %q", shown.Stage, shown.Progress.Stages[0].Waits)
	}
	w.pass(time.Millisecond)
	if shown := w.show("spring"); shown.Stage != 2 {
		t.Errorf("stage %d", shown.Stage)
	}
}

func TestAGateIsOpenedByHand(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	w.begin(w.spec("spring", r, in(t, "1,gate", "100%,gate")))
	list := w.devices(2)
	for _, d := range list {
		if w.offered(d, r) {
			w.install(d, r)
		}
	}
	w.pass(300 * 24 * time.Hour)
	if shown := w.show("spring"); shown.Stage != 1 || shown.Progress.Stages[0].Waits != "an operator has to advance it" {
		t.Errorf("stage %d: %q", shown.Stage, shown.Progress.Stages[0].Waits)
	}
	if advanced := w.act("spring", rollout.Advance); advanced.Stage != 2 {
		t.Errorf("advanced to stage %d", advanced.Stage)
	}
	for _, d := range list {
		if w.offered(d, r) {
			w.install(d, r)
		}
	}
	w.pass(time.Second)
	if shown := w.show("spring"); shown.State != rollout.Completed { // behind the last stage there is nothing to open
		t.Errorf("%s", shown.State)
	}
}

// An operator who advances says so for stages that lack something, too.
func TestAnAdvanceWaitsForNothing(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(4)
	w.begin(w.spec("spring", r, in(t, "1,soak=24h", "2,gate", "100%")))
	for want := 2; want <= 3; want++ {
		if shown := w.act("spring", rollout.Advance); shown.Stage != want {
			t.Fatalf("stage %d, want %d", shown.Stage, want)
		}
	}
	if n := w.count(list, r); n != 4 {
		t.Errorf("%d of 4 devices", n)
	}
}

func TestHowManyFailuresHalt(t *testing.T) {
	for _, c := range []struct {
		percent         float64
		budget          int
		touched, failed int
		halts           bool
	}{
		{5, 100, 20, 1, false}, // 5 % exactly
		{5, 100, 20, 2, true},
		{5, 100, 1, 1, false}, // one of one is one of FailureBase
		{5, 100, 2, 2, true},
		{10, 100, 30, 3, false},
		{10, 100, 30, 4, true},
		{100, 100, 30, 30, false},
		{100, 30, 30, 29, false},
		{100, 30, 30, 30, true}, // the budget is spent
		{100, 1, 1, 1, true},
	} {
		t.Run(fmt.Sprintf("%d of %d, %g %%, budget %d", c.failed, c.touched, c.percent, c.budget), func(t *testing.T) {
			w := newWorld(t)
			r := w.publish("1.0.0")
			list := w.devices(c.touched)
			w.begin(w.spec("spring", r, all, func(s *rollout.Spec) { s.Stages[0].FailurePercent, s.MaxUnproven = c.percent, c.budget }))
			if n := w.count(list, r); n != c.touched {
				t.Fatalf("%d of %d devices touched", n, c.touched)
			}
			for i, d := range list[:c.failed] {
				if shown := w.show("spring"); i == c.failed-1 && shown.State != rollout.Running {
					t.Fatalf("after %d failures it is %s: %s", i, shown.State, shown.Why)
				}
				w.report(d, trust.EventReverted, about(r), func(r *trust.Report) { r.Reason = trust.ErrHealthCheck })
			}
			if shown := w.show("spring"); (shown.State == rollout.Halted) != c.halts || shown.Progress.Reverted != c.failed {
				t.Errorf("%s: %s; %+v", shown.State, shown.Why, shown.Progress.Counts)
			}
		})
	}
}

// A budget that is not given is max(1 %, 10) of the target.
func TestTheBudgetOfATarget(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	devices := 0
	for _, c := range []struct{ target, want int }{{0, 10}, {1, 10}, {999, 10}, {1000, 10}, {1099, 10}, {1100, 11}} {
		if more := c.target - devices; more > 0 {
			w.group(fmt.Sprintf("up-to-%d", c.target), more)
		}
		devices = c.target
		spec := w.spec(fmt.Sprintf("for-%d", c.target), r, all, func(s *rollout.Spec) { s.MaxUnproven = 0 })
		if plan := must(w.Plan(t.Context(), spec))(t); plan.Target != c.target || plan.Budget != c.want {
			t.Errorf("the plan for %d devices is of %d and has a budget of %d, want %d", c.target, plan.Target, plan.Budget, c.want)
		}
		begun := w.begin(spec)
		if begun.Progress.Budget != c.want {
			t.Errorf("%d devices have a budget of %d, want %d", c.target, begun.Progress.Budget, c.want)
		}
		w.act(spec.Name, rollout.Abort)
	}
}

// Each device that proves itself makes room for one; each that fails takes its
// place for good.
func TestTheBudgetMakesRoomByEvidenceAlone(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(20)
	w.begin(w.spec("spring", r, all, func(s *rollout.Spec) { s.MaxUnproven, s.Stages[0].FailurePercent = 0, 100 }))
	if n := w.count(list, r); n != rollout.MinBudget {
		t.Fatalf("%d of 20 devices, want %d", n, rollout.MinBudget)
	}
	if waits := w.show("spring").Progress.Waits; waits != "10 devices are without evidence of success, as many as may be" {
		t.Errorf("waits: %q", waits)
	}
	w.install(list[0], r)
	w.revert(list[1], r)
	w.install(list[2], r)
	if n := w.count(list[10:], r); n != 2 {
		t.Errorf("two proved themselves and one failed: %d further devices", n)
	}
	w.urgent(list[19])
	if w.offered(list[19], r) {
		t.Error("a device that need not wait goes beyond the budget")
	}
}

// Who was in the budget before is in it once, whatever becomes of it.
func TestAResumeExcusesWhatFailedBefore(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(8)
	w.begin(w.spec("spring", r, all, func(s *rollout.Spec) { s.MaxUnproven, s.Stages[0].FailurePercent = 3, 100 }))
	w.count(list[:3], r)
	for _, d := range list[:3] {
		w.revert(d, r)
	}
	if shown := w.show("spring"); shown.State != rollout.Halted || shown.Progress.Unproven != 3 {
		t.Fatalf("%s, %+v", shown.State, shown.Progress)
	}
	resumed := w.act("spring", rollout.Resume)
	if resumed.State != rollout.Running || resumed.Progress.Unproven != 0 || resumed.Progress.Reverted != 3 {
		t.Errorf("resumed: %s, %+v", resumed.State, resumed.Progress)
	}
	if n := w.count(list, r); n != 3 {
		t.Errorf("%d further devices after the resume, want 3", n)
	}
	w.must(w.Fleet().Retry(t.Context(), admin, fleet.Ref{DeviceType: deviceType, ID: list[0].id}))
	if w.offered(list[0], r) {
		t.Error("a device that tries again after a resume goes beyond the budget")
	}
}
