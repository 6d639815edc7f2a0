package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/rollout"
)

// brickFleet is how many devices a release that bricks them could reach.
const brickFleet = 2000

// bricks rolls a release out to a whole fleet at once, without stages, and
// returns how many devices were touched at the end of ten days in which every
// device asks once a day and, once it is offered the release, does what taken
// says.
func bricks(t *testing.T, taken func(w *world, d *device)) (touched int, shown rollout.Rollout) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(brickFleet)
	w.begin(w.spec("doom", r, func(s *rollout.Spec) {
		s.Stages, s.MaxUnproven = []rollout.Stage{{Percent: 100, FailurePercent: 100}}, 0 // nothing but the budget holds it
	}))
	gone := map[*device]bool{}
	for range 10 {
		for _, d := range list {
			if !gone[d] && w.offered(d, r) {
				gone[d] = true
				taken(w, d)
			}
		}
		w.pass(24 * time.Hour)
	}
	shown = w.show("doom")
	if shown.Progress.Touched != len(gone) {
		t.Errorf("%d devices took it, %d count as touched", len(gone), shown.Progress.Touched)
	}
	return len(gone), shown
}

func TestAReleaseThatSilencesEveryDeviceStopsAtOnePercent(t *testing.T) {
	touched, shown := bricks(t, func(*world, *device) {}) // never heard of again
	if touched != brickFleet/100 || shown.State != rollout.Halted || !strings.Contains(shown.Why, "failed") {
		t.Errorf("%d of %d devices touched, %s: %s", touched, brickFleet, shown.State, shown.Why)
	}
}

func TestAReleaseThatEveryDeviceRevertsStopsAtOnePercent(t *testing.T) {
	touched, shown := bricks(t, func(w *world, d *device) {
		w.revert(d, must(w.repo.Versions(t.Context(), deviceType))(t)[0])
	})
	if touched != brickFleet/100 || shown.State != rollout.Halted || shown.Progress.Reverted != touched {
		t.Errorf("%d of %d devices touched, %s: %s", touched, brickFleet, shown.State, shown.Why)
	}
}

func TestUnderTheUsualThresholdTheSecondFailureHalts(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(15)
	w.begin(w.spec("spring", r, func(s *rollout.Spec) { s.Stages = s.Stages[1:] }))
	for i, d := range list {
		if !w.offered(d, r) {
			t.Fatalf("halted after %d devices, of which at most one failed", i)
		}
		if i%7 != 3 { // the fourth and the eleventh fail
			w.install(d, r)
			continue
		}
		w.revert(d, r)
		want := rollout.Running
		if i == 10 {
			want = rollout.Halted
		}
		if shown := w.show("spring"); shown.State != want {
			t.Errorf("after the device %d: %s: %s", i+1, shown.State, shown.Why)
		}
		if i == 10 {
			break
		}
	}
	if n := w.count(list, r); n != 0 {
		t.Errorf("%d devices are offered the release after the halt", n)
	}
}
