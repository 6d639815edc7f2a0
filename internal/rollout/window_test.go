package rollout_test

import (
	"errors"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// urgent lets a device not wait.
func (w *world) urgent(d *device) {
	w.t.Helper()
	w.must(w.Fleet().Edit(w.t.Context(), admin, fleet.Ref{DeviceType: deviceType, ID: d.id}, fleet.Edit{UpdateNow: new(true)}, "because"))
}

func TestAWindowIsOpenFromItsFirstMinuteToBeforeItsLast(t *testing.T) {
	// 7 January 2030 is a Monday.
	for _, c := range []struct {
		window string
		at     string // UTC
		open   bool
	}{
		{"08:00-17:00", "2030-01-07T07:59:59.999Z", false},
		{"08:00-17:00", "2030-01-07T08:00:00Z", true},
		{"08:00-17:00", "2030-01-07T16:59:59.999Z", true},
		{"08:00-17:00", "2030-01-07T17:00:00Z", false},
		{"22:00-05:00", "2030-01-07T21:59:59.999Z", false},
		{"22:00-05:00", "2030-01-07T22:00:00Z", true},
		{"22:00-05:00", "2030-01-08T00:00:00Z", true}, // past midnight
		{"22:00-05:00", "2030-01-08T04:59:59.999Z", true},
		{"22:00-05:00", "2030-01-08T05:00:00Z", false},
		{"00:00-00:01", "2030-01-07T00:00:59.999Z", true},
		{"00:00-00:01", "2030-01-07T00:01:00Z", false},
		{"23:59-00:00", "2030-01-07T23:59:30Z", true},
		{"23:59-00:00", "2030-01-08T00:00:00Z", false},
		// A window belongs to the day on which it begins.
		{"mon 22:00-05:00", "2030-01-07T23:00:00Z", true},
		{"mon 22:00-05:00", "2030-01-08T03:00:00Z", true},
		{"mon 22:00-05:00", "2030-01-07T03:00:00Z", false},
		{"mon 22:00-05:00", "2030-01-08T23:00:00Z", false},
		{"sat,sun 22:00-05:00", "2030-01-07T03:00:00Z", true}, // of Sunday, on Monday
		{"sat,sun 22:00-05:00", "2030-01-12T03:00:00Z", false},
		{"sat 22:00-05:00", "2030-01-13T04:59:00Z", true}, // over the end of the week
		{"mon 08:00-17:00", "2030-01-08T09:00:00Z", false},
		// The nights in which European and American clocks change are as long as any.
		{"01:00-03:00", "2030-03-31T00:59:59Z", false},
		{"01:00-03:00", "2030-03-31T01:00:00Z", true},
		{"01:00-03:00", "2030-03-31T02:30:00Z", true},
		{"01:00-03:00", "2030-10-27T02:59:59Z", true},
		{"01:00-03:00", "2030-10-27T03:00:00Z", false},
		{"22:00-05:00", "2028-02-29T23:00:00Z", true},
	} {
		w, at := must(rollout.ParseWindow(c.window))(t), must(time.Parse(time.RFC3339, c.at))(t)
		for _, zone := range []*time.Location{time.UTC, time.FixedZone("UTC+14", 14*3600), time.FixedZone("UTC-12", -12*3600), time.FixedZone("", 5*3600+45*60)} {
			if got := w.Contains(at.In(zone)); got != c.open {
				t.Errorf("%s at %s, in %s: open %t, want %t", c.window, c.at, zone, got, c.open)
			}
		}
		if w.String() != c.window {
			t.Errorf("%s is written %s", c.window, w)
		}
	}
}

func TestWhatIsNoWindow(t *testing.T) {
	for _, text := range []string{"", "22:00", "22:00-22:00", "24:00-05:00", "22:00-5", "22:60-05:00", "monday 22:00-05:00", "mon,,tue 22:00-05:00", "mon  22:00-05:00", "-22:00-05:00"} {
		if w, err := rollout.ParseWindow(text); !errors.Is(err, rollout.ErrInvalid) {
			t.Errorf("%q is read as %+v, %v", text, w, err)
		}
	}
}

func TestNobodyIsNewlyOfferedTheReleaseOutsideTheWindow(t *testing.T) {
	w := newWorld(t) // it is Monday noon
	r := w.publish("1.0.0")
	list := w.devices(5)
	w.begin(w.spec("spring", r, all, func(s *rollout.Spec) { s.Window = must(rollout.ParseWindow("mon 22:00-05:00"))(t) }))
	until := func(at string) {
		t.Helper()
		w.pass(must(time.Parse(time.RFC3339, at))(t).Sub(w.now()))
	}
	for i, c := range []struct {
		at   string
		want bool
	}{
		{"2030-01-07T21:59:59.999Z", false}, {"2030-01-07T22:00:00Z", true}, {"2030-01-08T04:59:59.999Z", true}, {"2030-01-08T05:00:00Z", false},
	} {
		until(c.at)
		if got := w.offered(list[i], r); got != c.want {
			t.Errorf("at %s: offered %t", c.at, got)
		}
	}
	if waits := w.show("spring").Progress.Waits; waits != "its maintenance window opens at 2030-01-14T22:00:00Z" {
		t.Errorf("waits: %q", waits)
	}
	if !w.offered(list[1], r) {
		t.Error("a device that has its place is not offered the release any more")
	}
	w.urgent(list[4])
	if !w.offered(list[4], r) {
		t.Error("a device that need not wait does")
	}
}

func TestARolloutBeginsAtItsStart(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(3)
	start := w.now().Add(time.Hour)
	berlin := time.FixedZone("CET", 3600)
	begun := w.begin(w.spec("spring", r, all, func(s *rollout.Spec) { s.StartAt = start.In(berlin) }))
	if begun.State != rollout.Scheduled || begun.StartAt != start || begun.Progress.Waits != "it starts at "+start.Format(time.RFC3339) {
		t.Fatalf("%s, at %s: %q", begun.State, begun.StartAt, begun.Progress.Waits)
	}
	w.pass(time.Hour - time.Millisecond)
	if w.offered(list[0], r) {
		t.Error("offered before the start")
	}
	w.urgent(list[1])
	if !w.offered(list[1], r) {
		t.Error("a device that need not wait waits for the start")
	}
	w.pass(time.Millisecond)
	if !w.offered(list[0], r) || w.show("spring").StartedAt != start {
		t.Errorf("at the start: %+v", w.show("spring"))
	}
}
