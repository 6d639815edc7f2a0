package rollout_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/rollout"
)

// A rollout may be one second's worth of devices ahead of its pace, and one
// device; never more, and it never falls behind.
func TestThePaceIsKeptFromTheFirstMinuteToTheLast(t *testing.T) {
	for _, c := range []struct {
		pace, minutes int
		step          time.Duration // between two looks
	}{
		{1, 4, time.Second},
		{60, 2, 500 * time.Millisecond},
		{240, 1, 50 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%d a minute", c.pace), func(t *testing.T) {
			w := newWorld(t)
			r := w.publish("1.0.0")
			list := w.devices(c.pace*c.minutes + c.pace/60 + 3)
			w.begin(w.spec("spring", r, all, func(s *rollout.Spec) { s.Pace = c.pace }))
			due := func(at time.Duration) int { return int(at * time.Duration(c.pace) / time.Minute) }
			told := 0
			for at := time.Duration(0); at < time.Duration(c.minutes)*time.Minute; at += c.step {
				for told < len(list) && w.offered(list[told], r) { // the first who is refused asks again at the next look
					told++
				}
				if least, most := due(at), due(at+time.Second)+1; told < least || told > most {
					t.Fatalf("after %s, %d devices are told, want %d to %d", at, told, least, most)
				}
				w.ms.Add(c.step.Milliseconds())
			}
		})
	}
}

// The border itself: a device that is a second ahead of its turn gets it, one
// that is a millisecond more does not.
func TestADeviceThatIsASecondAheadOfThePaceHasItsTurn(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(4)
	w.begin(w.spec("spring", r, all, func(s *rollout.Spec) { s.Pace = 2 })) // one in 30 s
	for i, c := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {28_999 * time.Millisecond, false}, {time.Millisecond, true}, {29_999 * time.Millisecond, false}, {time.Millisecond, true}} {
		w.ms.Add(c.after.Milliseconds())
		next := list[w.show("spring").Progress.Touched]
		if got := w.offered(next, r); got != c.want {
			t.Errorf("look %d: offered %t, want %t", i+1, got, c.want)
		}
	}
}

// Time in which nobody asked is not made up for.
func TestAPauseIsNotMadeUpFor(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(20)
	w.begin(w.spec("spring", r, all, func(s *rollout.Spec) { s.Pace = 60 }))
	if n := w.count(list, r); n != 2 {
		t.Fatalf("%d devices at first", n)
	}
	w.act("spring", rollout.Pause)
	w.pass(time.Hour)
	w.act("spring", rollout.Resume)
	if n := w.count(list[2:], r); n != 2 {
		t.Errorf("%d further devices after an hour, want one second's worth", n)
	}
}

// A device that waits for nothing any more, or that an operator lets not wait,
// takes nobody's turn.
func TestWhoHasAPlaceNeedsNoTurn(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(5)
	w.begin(w.spec("spring", r, all, func(s *rollout.Spec) { s.Pace = 1 }))
	w.count(list[:1], r)
	w.ms.Add(5000)
	if !w.offered(list[0], r) {
		t.Error("a device that has its place is not offered the release again")
	}
	w.urgent(list[3])
	if got := w.taken(w.Engine, list[1:], r); len(got) != 1 || got[0] != list[3].id {
		t.Errorf("offered to %v, want the one that does not wait", got)
	}
}
