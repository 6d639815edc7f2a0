package rollout_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/repository"
)

// all is a rollout to its whole target in one stage.
func all(s *rollout.Spec) { s.Stages = []rollout.Stage{{Percent: 100}} }

// in is a rollout in these stages, each as people write it.
func in(t testing.TB, stages ...string) func(*rollout.Spec) {
	return func(s *rollout.Spec) {
		s.Stages = nil
		for _, text := range stages {
			s.Stages = append(s.Stages, must(rollout.ParseStage(text))(t))
		}
	}
}

// taken checks with all devices, and returns the ids of those that are offered
// the release.
func (w *world) taken(e *rollout.Engine, list []*device, r repository.Release) (ids []string) {
	w.t.Helper()
	for _, d := range list {
		if must(w.checkAt(e, d))(w.t) == r.ManifestHash {
			ids = append(ids, d.id)
		}
	}
	return ids
}

func TestHowManyDevicesAStageHolds(t *testing.T) {
	for _, c := range []struct {
		devices int
		stage   string
		want    int
	}{
		{0, "1%", 0},
		{0, "5", 0},
		{1, "1%", 1}, // a share holds one device at least
		{1, "1", 1},
		{1, "0.001%", 1},
		{3, "1%", 1},
		{7, "3", 3},
		{7, "7", 7},
		{7, "8", 7},
		{7, "100%", 7},
		{7, "label.group=canary", 2},
		{7, "label.group=nobody", 0},
	} {
		t.Run(fmt.Sprintf("%d devices, %s", c.devices, c.stage), func(t *testing.T) {
			w := newWorld(t)
			r := w.publish("1.0.0")
			var list []*device
			if canary := min(c.devices, 2); canary > 0 {
				list = w.group("canary", canary)
			}
			if rest := c.devices - len(list); rest > 0 {
				list = append(list, w.group("other", rest)...)
			}
			// A gate, or a stage without a device would give way to the next one.
			spec := w.spec("spring", r, in(t, c.stage+",gate", "100%,gate"))
			plan := must(w.Plan(t.Context(), spec))(t)
			if plan.Target != c.devices || plan.Stages[1] != c.devices {
				t.Errorf("the plan is of %d devices, %v in its stages", plan.Target, plan.Stages)
			}
			begun := w.begin(spec)
			if n := len(w.taken(w.Engine, list, r)); begun.Stage != 1 || n != c.want {
				t.Errorf("stage %d takes %d devices, want %d", begun.Stage, n, c.want)
			}
		})
	}
}

func TestAShareTakesItsPartOfTheFleet(t *testing.T) {
	const fleetSize = 20_000
	for _, percent := range []float64{1, 10, 50} {
		inside := 0
		for n := range fleetSize {
			p := rollout.Position("0123456789abcdef", fleet.Ref{DeviceType: deviceType, ID: fmt.Sprintf("dev-%d", n)})
			if float64(p) < percent/100*(1<<64) {
				inside++
			}
		}
		// Four standard deviations of the binomial distribution, at most.
		if got := 100 * float64(inside) / fleetSize; got < percent*0.75 || got > percent*1.25 {
			t.Errorf("%g %% are %g %%", percent, got)
		}
	}
}

func TestTheSameDevicesEverywhereAndAtEveryCheck(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(40)
	w.begin(w.spec("spring", r, in(t, "20%,gate", "7,gate", "60%,gate", "100%")))
	other, _ := w.replica()
	var before []string
	for stage := 1; stage <= 4; stage++ {
		got := w.taken(w.Engine, list, r)
		w.ms.Add(1000) // a device asks once a second
		w.must(other.Refresh(t.Context()))
		w.must(other.Fleet().Refresh(t.Context()))
		if there := w.taken(other, list, r); !slices.Equal(got, there) {
			t.Errorf("stage %d: %v on one server, %v on the other", stage, got, there)
		}
		for _, id := range before {
			if !slices.Contains(got, id) {
				t.Errorf("stage %d has lost %s", stage, id)
			}
		}
		before = got
		if stage < 4 {
			w.act("spring", rollout.Advance)
		}
		w.pass(time.Second)
	}
	if len(before) != 40 {
		t.Errorf("the last stage has %d of 40 devices", len(before))
	}
}

func TestNamedGroupsComeInTheirOrder(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	lab, field, rest := w.group("lab", 3), w.group("field", 4), w.group("rest", 5)
	w.begin(w.spec("spring", r, in(t, "label.group=lab", "label.group=field", "100%")))
	for stage, groups := range [][][]*device{{lab}, {lab, field}, {lab, field, rest}} {
		for n, group := range [][]*device{lab, field, rest} {
			got, want := 0, 0
			for _, d := range group {
				if w.offered(d, r) {
					w.install(d, r)
				}
				if d.running == runs(r) {
					got++
				}
			}
			if n < len(groups) {
				want = len(group)
			}
			if got != want {
				t.Errorf("in stage %d, %d of group %d run the release, want %d", stage+1, got, n+1, want)
			}
		}
		w.pass(time.Second)
	}
	if shown := w.show("spring"); shown.State != rollout.Completed {
		t.Errorf("at the end it is %s", shown.State)
	}
}

func TestARolloutToNobodyIsDoneAndWaitsForWhoComes(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	w.begin(w.spec("spring", r, in(t, "1%", "5", "100%")))
	for range 3 {
		w.pass(time.Second)
	}
	if shown := w.show("spring"); shown.State != rollout.Completed || shown.Progress.Target != 0 || shown.Progress.Budget != 1_000_000 {
		t.Fatalf("%s, stage %d, of %d devices", shown.State, shown.Stage, shown.Progress.Target)
	}
	if !w.offered(w.device("first", fleet.NewDevice{}), r) {
		t.Error("the first device to come is not offered the release")
	}
}
