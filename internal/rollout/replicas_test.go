package rollout_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
)

// crowd has all devices check at once, on two servers in turn, and returns how
// many are offered the release.
func (w *world) crowd(list []*device, r repository.Release, servers ...*rollout.Engine) (n int) {
	w.t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range 8 {
		wg.Go(func() {
			for k := i; k < len(list); k += 8 {
				hash, err := w.checkAt(servers[k/8%len(servers)], list[k])
				if err != nil {
					w.t.Error(err)
				}
				if hash == r.ManifestHash {
					mu.Lock()
					n++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return n
}

// Neither server learns what the other does: what keeps them together is the
// transaction of each offer.
func TestTwoServersNeverOfferMoreThanOneMay(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*rollout.Spec)
		want   int
	}{
		{"a number", in(t, "15,gate", "100%"), 15},
		{"a budget", func(s *rollout.Spec) { all(s); s.MaxUnproven = 12 }, 12},
		{"a pace", func(s *rollout.Spec) { all(s); s.Pace = 600 }, 11}, // a second's worth, and one
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			r := w.publish("1.0.0")
			list := w.devices(120)
			w.begin(w.spec("spring", r, c.change))
			other, _ := w.replica()
			if n := w.crowd(list, r, w.Engine, other); n != c.want {
				t.Errorf("two servers offer it to %d devices, want %d", n, c.want)
			}
			w.must(w.Refresh(t.Context()))
			if p := w.show("spring").Progress; p.Touched != c.want || p.Offered != c.want || p.Target != 120 {
				t.Errorf("touched %d, offered %d, of %d", p.Touched, p.Offered, p.Target)
			}
		})
	}
}

// A server whose memory says that the rollout runs admits nobody once another
// has stopped it; who had a place is told of it until that server has refreshed.
func TestAStopBindsAServerThatHasNotHeardOfIt(t *testing.T) {
	for _, stop := range []rollout.Action{rollout.Pause, rollout.Halt, rollout.Abort} {
		t.Run(string(stop), func(t *testing.T) {
			w := newWorld(t)
			r := w.publish("1.0.0")
			list := w.devices(10)
			w.begin(w.spec("spring", r, all))
			other, _ := w.replica()
			if n := len(w.taken(other, list[:3], r)); n != 3 {
				t.Fatalf("the other server offers it to %d of 3", n)
			}
			w.act("spring", stop)
			if got := w.taken(other, list[3:], r); len(got) != 0 {
				t.Errorf("the other server admits %v", got)
			}
			w.must(other.Refresh(t.Context()))
			if got := w.taken(other, list, r); len(got) != 0 {
				t.Errorf("when it has heard, it offers the release to %v", got)
			}
		})
	}
}

func TestAPauseOnOneServerStopsTheNextCheckOnTheOtherWithinASecond(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(40)
	w.begin(w.spec("spring", r, all))
	other, _ := w.open(rollout.Open) // with its work in the background
	for round, d := range list[:4] {
		w.ms.Add(60_000)
		within(t, "resumed", func() bool { return must(w.checkAt(other, d))(t) == r.ManifestHash })
		w.act("spring", rollout.Pause)
		paused := time.Now()
		within(t, "paused", func() bool { w.ms.Add(1000); return must(w.checkAt(other, d))(t) == manifest.Digest{} })
		if took := time.Since(paused); took > time.Second {
			t.Errorf("round %d: a pause was heard of after %s", round, took)
		}
		w.act("spring", rollout.Resume)
	}
}

// within waits until something is so, but not for ever.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// What is committed is all there is: a server that is gone after the commit of
// an order, of an offer or of a report is made up for by the next.
func TestAServerThatDiesLeavesNothingHalfDone(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(12)
	must(w.Create(t.Context(), alice, w.spec("spring", r, in(t, "4,gate", "8,gate", "100%"))))(t)
	dies, _ := w.replica()
	w.must(dies.Order(t.Context(), bob, "spring", rollout.Start, "")) // its first stage is not opened
	w.pass(0)
	if shown := w.show("spring"); shown.State != rollout.Running || shown.Stage != 1 {
		t.Fatalf("%s, stage %d", shown.State, shown.Stage)
	}
	w.must(dies.Refresh(t.Context()))
	first := w.taken(dies, list[:6], r) // and dies: these are known to nobody else's memory
	w.must(w.Fleet().Refresh(t.Context()))
	if n := len(first) + len(w.taken(w.Engine, list[6:], r)); n != 4 {
		t.Errorf("%d devices in a stage of 4", n)
	}
	for _, d := range list {
		if w.offered(d, r) {
			w.install(d, r)
		}
	}
	w.must(dies.Order(t.Context(), bob, "spring", rollout.Advance, ""))
	w.pass(time.Second)
	again, _ := w.replica()
	for _, e := range []*rollout.Engine{w.Engine, again} {
		shown := must(e.Show(t.Context(), "spring"))(t)
		if got := fmt.Sprint(shown.State, shown.Stage, shown.Progress.Touched, shown.Progress.Confirmed, shown.Progress.Target); got != "running2 4 4 12" {
			t.Errorf("after all of that: %s", got)
		}
	}
}

func TestAPlanKnowsTheDevicesThatAnotherProcessHasAdded(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	other, _ := w.replica()
	w.devices(7)
	if plan := must(other.Plan(t.Context(), w.spec("spring", r)))(t); plan.Target != 7 {
		t.Errorf("a plan of %d devices", plan.Target)
	}
	if begun := must(other.Create(t.Context(), alice, w.spec("spring", r)))(t); begun.Progress.Target != 7 {
		t.Errorf("a draft for %d devices", begun.Progress.Target)
	}
}
