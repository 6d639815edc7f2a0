package rollout_test

import (
	"errors"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// newest lets the type offer every release to all.
func (w *world) newest() {
	w.t.Helper()
	w.set(rollout.TypeSettings{DeviceType: deviceType, Offer: rollout.Newest})
}

// rollouts lets the type wait for rollouts, as a request does: it returns when
// it is answered.
func (w *world) rollouts() {
	w.t.Helper()
	must(w.SetType(w.t.Context(), admin, rollout.TypeSettings{DeviceType: deviceType, Offer: rollout.Rollouts}))(w.t)
}

func TestATypeWaitsForRolloutsOnceThatIsAnswered(t *testing.T) {
	w := newWorld(t)
	w.newest()
	d, old := w.device("dev-1", fleet.NewDevice{}), w.publish("1.0.0")
	if !w.offered(d, old) {
		t.Fatal("the newest release is not offered while that is the rule")
	}
	w.rollouts()
	if hash := must(w.check(d))(t); !hash.IsZero() {
		t.Errorf("at the next check %s is offered", hash)
	}
	if hash := must(w.check(w.device("dev-2", fleet.NewDevice{})))(t); !hash.IsZero() {
		t.Errorf("a device that comes later is offered %s", hash)
	}
}

// The other server has the release in memory, and not yet the setting.
func TestWhatIsPublishedAfterATypeWaitsIsOfferedNowhereWithoutARollout(t *testing.T) {
	w := newWorld(t)
	w.newest()
	d, pinned := w.device("dev-1", fleet.NewDevice{}), w.device("dev-2", fleet.NewDevice{})
	late, _ := w.replica()
	w.rollouts()
	r := w.publish("1.0.0")
	pin := r.Version().String()
	w.must(w.Fleet().Edit(t.Context(), admin, fleet.Ref{DeviceType: deviceType, ID: pinned.id}, fleet.Edit{Pin: &pin}, "because"))
	w.must(late.Fleet().Refresh(t.Context()))
	if late.Rule(deviceType) {
		t.Fatal("the other server knows of it already, and shows nothing here")
	}
	if hash := must(w.checkAt(late, d))(t); !hash.IsZero() {
		t.Errorf("it offers %s", hash)
	}
	if hash := must(w.checkAt(late, pinned))(t); hash != r.ManifestHash {
		t.Errorf("a device pinned to the release is offered %s", hash)
	}
	w.begin(w.spec("spring", r, func(s *rollout.Spec) { s.Stages = s.Stages[1:] }))
	w.must(late.Refresh(t.Context()))
	if hash := must(w.checkAt(late, d))(t); hash != r.ManifestHash {
		t.Errorf("in a rollout it offers %s", hash)
	}
}

func TestATypeGoesBackToNewestWhenNoRolloutIsOn(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	w.devices(3)
	back := rollout.TypeSettings{DeviceType: deviceType, Offer: rollout.Newest}
	for _, c := range []struct {
		name string
		do   func(name string)
		free bool
	}{
		{"draft", func(string) {}, true},
		{"running", func(name string) { w.act(name, rollout.Start) }, false},
		{"paused", func(name string) { w.act(name, rollout.Start); w.act(name, rollout.Pause) }, false},
		{"halted", func(name string) { w.act(name, rollout.Start); w.act(name, rollout.Halt) }, false},
		{"aborted", func(name string) { w.act(name, rollout.Start); w.act(name, rollout.Abort) }, true},
	} {
		must(w.Create(t.Context(), alice, w.spec(c.name, r)))(t)
		c.do(c.name)
		_, err := w.SetType(t.Context(), admin, back)
		if c.free != (err == nil) || !c.free && !errors.Is(err, rollout.ErrActive) {
			t.Errorf("while one is %s: %v", c.name, err)
		}
		if err == nil {
			w.rollouts()
		}
		if shown := w.show(c.name); shown.State != rollout.Draft && shown.State != rollout.Aborted {
			w.act(c.name, rollout.Abort)
		}
	}
}
