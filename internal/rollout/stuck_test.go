package rollout_test

import (
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// attempt begins a rollout with a time-out of an hour to one device, which is
// offered the release.
func attempt(t *testing.T, retries int) (*world, *device, repository.Release) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	d := w.devices(2)[0]
	w.begin(w.spec("spring", r, all, func(s *rollout.Spec) {
		s.Timeout, s.Retries, s.Stages[0].FailurePercent = rollout.Duration(time.Hour), retries, 100
	}))
	if !w.offered(d, r) {
		t.Fatal("not offered")
	}
	return w, d, r
}

// is checks what a rollout knows of the one device that it touched.
func (w *world) is(when string, state rollout.DeviceState, attempts int) {
	w.t.Helper()
	list := must(w.Devices(w.t.Context(), "spring", rollout.DeviceQuery{Limit: 10}))(w.t)
	if len(list) != 1 || list[0].State != state || list[0].Attempts != attempts {
		w.t.Errorf("%s: %+v, want one that is %s after %d attempts", when, list, state, attempts)
	}
}

func TestADeviceWithoutEvidenceIsStuckAtItsTimeout(t *testing.T) {
	w, d, r := attempt(t, rollout.NoRetries)
	w.pass(30 * time.Minute)
	w.report(d, trust.EventInstalled, about(r)) // a way, but no evidence: its time goes on
	w.pass(30*time.Minute - time.Millisecond)
	w.is("before", rollout.Installed, 1)
	w.pass(time.Millisecond)
	w.is("at its time", rollout.TimedOut, 1)
	if w.offered(d, r) {
		t.Error("without retries it is offered the release again")
	}
	w.install(d, r)
	w.is("late evidence is evidence", rollout.Confirmed, 1)
}

func TestAStuckDeviceIsOfferedTheReleaseAgain(t *testing.T) {
	w, d, r := attempt(t, 2)
	for n := 1; n <= 3; n++ {
		w.is("offered", rollout.Offered, n)
		w.pass(time.Hour)
		if n < 3 {
			w.is("late", rollout.Retrying, n)
			if !w.offered(d, r) {
				t.Fatalf("not offered again after attempt %d", n)
			}
		}
	}
	w.is("after the last", rollout.TimedOut, 3)
	if w.offered(d, r) {
		t.Error("offered more often than was said")
	}
}

func TestAStuckDeviceThatNeverComesBackIsEnded(t *testing.T) {
	w, _, _ := attempt(t, 5)
	w.pass(time.Hour)
	w.is("late", rollout.Retrying, 1)
	w.pass(time.Hour - time.Millisecond)
	w.is("before its time", rollout.Retrying, 1)
	w.pass(time.Millisecond)
	w.is("twice its time", rollout.TimedOut, 1)
	if p := w.show("spring").Progress; p.Unproven != 1 {
		t.Errorf("unproven %d: a silent device may be a dead one", p.Unproven)
	}
}

func TestWhatBecomesOfAFailure(t *testing.T) {
	reason := func(r trust.Reason) func(*trust.Report) { return func(report *trust.Report) { report.Reason = r } }
	for _, c := range []struct {
		name   string
		event  trust.Event
		reason trust.Reason
		state  rollout.DeviceState
		again  bool
	}{
		{"a failure that may pass", trust.EventFailed, trust.ErrTransport, rollout.Retrying, true},
		{"a refusal that may pass", trust.EventRefused, trust.ErrBadSignature, rollout.Retrying, true},
		{"a refusal for good", trust.EventRefused, trust.ErrBelowFloor, rollout.Refused, false},
		{"a revert", trust.EventReverted, trust.ErrHealthCheck, rollout.Reverted, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, d, r := attempt(t, 1)
			w.report(d, c.event, about(r), reason(c.reason))
			w.is("then", c.state, 1)
			if got := w.offered(d, r); got != c.again {
				t.Errorf("offered again %t", got)
			}
			if c.again {
				w.report(d, c.event, about(r), reason(c.reason))
				w.is("after its last attempt", rollout.Failed, 2)
			}
			if p := w.show("spring").Progress; p.Unproven != 1 {
				t.Errorf("unproven %d", p.Unproven)
			}
			w.must(w.Fleet().Retry(t.Context(), admin, fleet.Ref{DeviceType: deviceType, ID: d.id}))
			w.ms.Add(1000)
			if !w.offered(d, r) {
				t.Error("not offered again though an operator said so")
			}
			w.is("an operator lets it try again", rollout.Offered, 1)
		})
	}
}

func TestADeviceThatAnOperatorTookOutIsNoFailure(t *testing.T) {
	for name, take := range map[string]func(w *world, ref fleet.Ref){
		"held": func(w *world, ref fleet.Ref) {
			w.must(w.Fleet().Edit(w.t.Context(), admin, ref, fleet.Edit{Hold: new(true)}, "because"))
		},
		"revoked": func(w *world, ref fleet.Ref) { w.must(w.Fleet().Revoke(w.t.Context(), admin, ref, "because")) },
	} {
		t.Run(name, func(t *testing.T) {
			w, d, _ := attempt(t, 0)
			take(w, fleet.Ref{DeviceType: deviceType, ID: d.id})
			w.pass(time.Hour)
			w.is(name, rollout.Left, 1)
			if p := w.show("spring").Progress; p.Unproven != 0 {
				t.Errorf("unproven %d", p.Unproven)
			}
		})
	}
}

// Nobody is late for a rollout that offers nothing.
func TestTimeStandsStillWhileARolloutIsPaused(t *testing.T) {
	w, d, r := attempt(t, rollout.NoRetries)
	w.pass(59 * time.Minute)
	w.act("spring", rollout.Pause)
	w.pass(48 * time.Hour)
	w.is("paused", rollout.Offered, 1)
	w.act("spring", rollout.Resume)
	w.pass(time.Hour - time.Millisecond)
	w.is("resumed", rollout.Offered, 1)
	if !w.offered(d, r) {
		t.Error("it has lost its place")
	}
	w.pass(time.Millisecond)
	w.is("its time anew", rollout.TimedOut, 1)
}
