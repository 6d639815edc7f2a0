package rollout_test

import (
	"testing"

	"github.com/secure-ota/secure-ota/internal/rollout"
)

// shown is show with the census as it stands: devices are not counted anew at
// every look.
func (w *world) shown(name string) rollout.Progress {
	w.t.Helper()
	return must(w.Show(w.t.Context(), name))(w.t).Progress
}

// wholes checks that the target is so many devices, and that the last stage is
// all of them.
func (w *world) wholes(when string, p rollout.Progress, target int) {
	w.t.Helper()
	if last := p.Stages[len(p.Stages)-1]; p.Target != target || p.Touched+p.Waiting != target || last.Target != target {
		w.t.Errorf("%s: of %d devices %d touched, %d waiting; the last stage has %d; want %d in all",
			when, p.Target, p.Touched, p.Waiting, last.Target, target)
	}
}

func TestDevicesThatAreOfferedTheReleaseBetweenTwoCountsCountOnce(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(60)
	w.begin(w.spec("spring", r, func(s *rollout.Spec) { s.Stages = s.Stages[1:] }))
	w.wholes("at first", w.shown("spring"), 60)
	for i, d := range list[:10] {
		if !w.offered(d, r) {
			t.Fatal("not offered")
		}
		if i < 4 {
			w.install(d, r)
		}
	}
	w.wholes("before they are counted again", w.shown("spring"), 60)
	w.wholes("after", w.show("spring").Progress, 60)
	other, _ := w.replica()
	w.must(w.Refresh(t.Context()))
	w.count(list[10:15], r)
	w.wholes("on a server that has not heard", must(other.Show(t.Context(), "spring"))(t).Progress, 60)
}

func TestDevicesThatAnotherRolloutTakesOverCountOnce(t *testing.T) {
	w := newWorld(t)
	older, newer := w.publish("1.0.0"), w.publish("1.1.0")
	list := w.devices(30)
	all := func(s *rollout.Spec) { s.Stages = s.Stages[1:] }
	w.begin(w.spec("spring", older, all))
	w.count(list[:12], older)
	w.begin(w.spec("summer", newer, all))
	w.count(list[:7], newer)
	spring := w.show("spring").Progress
	if spring.Left != 7 {
		t.Fatalf("%d devices left", spring.Left)
	}
	w.wholes("the rollout that they left", spring, 30)
	w.wholes("the one that took them over", w.show("summer").Progress, 30)
	again, _ := w.replica()
	w.wholes("after a restart", must(again.Show(t.Context(), "spring"))(t).Progress, 30)
}
