package rollout_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// Every action in every state: what is not allowed is refused and changes
// nothing, what is allowed leads where the page of rollouts says.
func TestEveryActionInEveryState(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	list := w.devices(1)
	lead := map[rollout.State]func(name string){
		rollout.Draft:     func(string) {},
		rollout.Awaiting:  func(name string) { w.critical(true); w.act(name, rollout.Start); w.critical(false) },
		rollout.Scheduled: func(name string) { w.act(name, rollout.Start) },
		rollout.Running:   func(name string) { w.act(name, rollout.Start) },
		rollout.Paused:    func(name string) { w.act(name, rollout.Start); w.act(name, rollout.Pause) },
		rollout.Halted:    func(name string) { w.act(name, rollout.Start); w.act(name, rollout.Halt) },
		rollout.Completed: func(name string) { w.act(name, rollout.Start); w.pass(time.Second) },
		rollout.Aborted:   func(name string) { w.act(name, rollout.Start); w.act(name, rollout.Abort) },
	}
	to := map[rollout.State]map[rollout.Action]rollout.State{
		rollout.Draft:     {rollout.Start: rollout.Running, rollout.Delete: rollout.Draft},
		rollout.Awaiting:  {rollout.Approve: rollout.Running, rollout.Abort: rollout.Aborted},
		rollout.Scheduled: {rollout.Abort: rollout.Aborted},
		rollout.Running: {
			rollout.Pause: rollout.Paused, rollout.Advance: rollout.Running, rollout.Halt: rollout.Halted, rollout.Abort: rollout.Aborted,
		},
		rollout.Paused:    {rollout.Resume: rollout.Running, rollout.Halt: rollout.Halted, rollout.Abort: rollout.Aborted},
		rollout.Halted:    {rollout.Resume: rollout.Running, rollout.Abort: rollout.Aborted},
		rollout.Completed: {rollout.Pause: rollout.Paused, rollout.Halt: rollout.Halted, rollout.Abort: rollout.Aborted},
		rollout.Aborted:   {},
	}
	for _, state := range rollout.States {
		for _, action := range append(slices.Clone(rollout.Actions), "explode") {
			name := fmt.Sprintf("r-%d-%s", slices.Index(rollout.States, state), action)
			must(w.Create(t.Context(), alice, w.spec(name, r, in(t, "1,gate", "100%"), func(s *rollout.Spec) {
				switch state {
				case rollout.Scheduled:
					s.StartAt = w.now().AddDate(1, 0, 0)
				case rollout.Completed:
					s.Filter, s.Stages = "label.group=nobody", s.Stages[1:]
				}
			})))(t)
			lead[state](name)
			before := w.show(name)
			if before.State != state {
				t.Fatalf("%s is %s: %s", name, before.State, before.Why)
			}
			after, err := w.Act(t.Context(), bob, name, action, "because")
			want, allowed := to[state][action]
			switch {
			case allowed && (err != nil || after.State != want):
				t.Errorf("%s, %s: %s, %v; want %s", state, action, after.State, err, want)
			case allowed != slices.Contains(before.Actions, action):
				t.Errorf("%s is said to have the actions %v", state, before.Actions)
			case !allowed && !errors.Is(err, rollout.ErrState) && !errors.Is(err, rollout.ErrInvalid):
				t.Errorf("%s, %s: %v", state, action, err)
			case !allowed && w.show(name).State != state:
				t.Errorf("%s, %s is refused, and leads to %s", state, action, w.show(name).State)
			}
			w.ms.Add(1000) // a device asks once a second
			if err == nil && after.State == rollout.Running && !w.offered(list[0], r) {
				t.Errorf("%s, %s: it runs and offers nothing", state, action)
			}
			w.end(name)
		}
	}
}

// critical says whether rollouts need a second person.
func (w *world) critical(is bool) {
	w.t.Helper()
	w.set(rollout.TypeSettings{DeviceType: deviceType, Offer: rollout.Rollouts, Critical: is})
}

// end takes a rollout out of the way.
func (w *world) end(name string) {
	w.t.Helper()
	r, err := w.Show(w.t.Context(), name)
	switch {
	case errors.Is(err, rollout.ErrNotFound):
	case err != nil:
		w.t.Fatal(err)
	case r.State == rollout.Draft:
		w.act(name, rollout.Delete)
	case r.State != rollout.Aborted:
		w.act(name, rollout.Abort)
	}
}

func TestWhatEndsOrResumesAHaltNeedsAReason(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	w.devices(1)
	for _, c := range []struct {
		name   string
		before []rollout.Action
		action rollout.Action
		needs  bool
	}{
		{"start", nil, rollout.Start, false},
		{"pause", []rollout.Action{rollout.Start}, rollout.Pause, false},
		{"resume", []rollout.Action{rollout.Start, rollout.Pause}, rollout.Resume, false},
		{"resume-halted", []rollout.Action{rollout.Start, rollout.Halt}, rollout.Resume, true},
		{"halt", []rollout.Action{rollout.Start}, rollout.Halt, true},
		{"abort", []rollout.Action{rollout.Start}, rollout.Abort, true},
	} {
		must(w.Create(t.Context(), alice, w.spec(c.name, r)))(t)
		for _, a := range c.before {
			w.act(c.name, a)
		}
		if _, err := w.Act(t.Context(), alice, c.name, c.action, ""); c.needs != errors.Is(err, rollout.ErrInvalid) || !c.needs && err != nil {
			t.Errorf("%s without a reason: %v", c.name, err)
		}
		if _, err := w.Act(t.Context(), alice, c.name, rollout.Abort, "two\x1b[2Jlines"); !errors.Is(err, rollout.ErrInvalid) {
			t.Errorf("%s for a reason that clears the screen: %v", c.name, err)
		}
		w.end(c.name)
	}
}

// Who may act on a rollout may not act on another one that has taken its name.
func TestAnActionIsForTheRolloutThatWasSeen(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	w.devices(1)
	seen := must(w.Create(t.Context(), alice, w.spec("spring", r)))(t)
	w.act("spring", rollout.Delete)
	must(w.Create(t.Context(), bob, w.spec("spring", r)))(t)
	for _, a := range []rollout.Action{rollout.Start, rollout.Delete, rollout.Advance} {
		if _, err := w.Engine.Act(t.Context(), alice, seen, a, "because"); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("%s: %v", a, err)
		}
	}
	if got := w.show("spring"); got.State != rollout.Draft {
		t.Errorf("the other one is %s", got.State)
	}
}

func TestACriticalTypeOffersNothingBeforeASecondPersonAgrees(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	d := w.devices(1)[0]
	w.critical(true)
	must(w.Create(t.Context(), alice, w.spec("spring", r, all)))(t)
	if started := must(w.Act(t.Context(), bob, "spring", rollout.Start, ""))(t); started.State != rollout.Awaiting {
		t.Fatalf("started: %s", started.State)
	}
	w.urgent(d)
	if w.offered(d, r) {
		t.Error("a device that need not wait does not wait for the second person")
	}
	// Whoever was the author stays the author, from wherever she speaks.
	for _, same := range []auth.Actor{alice, {Name: "local:alice", Role: auth.Administrator}} {
		if _, err := w.Act(t.Context(), same, "spring", rollout.Approve, ""); !errors.Is(err, rollout.ErrAuthor) {
			t.Errorf("approved by %s: %v", same.Name, err)
		}
	}
	w.critical(false) // what was started under the rule stays under it
	if shown := w.show("spring"); shown.State != rollout.Awaiting || w.offered(d, r) {
		t.Errorf("the rule is lifted: %s", shown.State)
	}
	approved := must(w.Act(t.Context(), bob, "spring", rollout.Approve, "looked at it"))(t)
	if approved.State != rollout.Running || approved.ApprovedBy != bob.Name || !w.offered(d, r) {
		t.Errorf("approved: %s by %q", approved.State, approved.ApprovedBy)
	}
}

// A person who makes tokens has seen the secrets of two.
func TestATokenThatTheAuthorMadeIsNoSecondPerson(t *testing.T) {
	w := newWorld(t)
	r := w.publish("1.0.0")
	w.critical(true)
	operators := auth.OpenOperators(w.repo.Store())
	actor := func(name string, by auth.Actor) auth.Actor {
		must(operators.Add(t.Context(), by, auth.NewOperator{Name: name, Role: auth.Approver}))(t)
		return auth.Operator{Name: name, Role: auth.Approver}.Actor("")
	}
	onServer := auth.Actor{Name: "local:root", Role: auth.Administrator}
	carol := actor("carol", onServer)
	alias, dave := actor("carol-2", carol), actor("dave", onServer)
	ann := auth.Person{Name: "ann@example.com", Role: auth.Administrator}.Actor("")
	annsToken := actor("ann-ci", ann)
	tokensToken := actor("ann-ci-2", annsToken)
	for n, c := range []struct {
		author, approver auth.Actor
		second           bool
	}{
		{carol, alias, false},
		{alias, carol, false},
		{carol, dave, true},
		{alias, dave, true},
		{onServer, dave, false},
		{dave, auth.Actor{Name: "local:erin", Role: auth.Administrator}, true},
		{ann, annsToken, false},
		{annsToken, ann, false},
		{ann, tokensToken, false},
		{tokensToken, ann, false},
		{dave, tokensToken, true},
		{ann, dave, true},
	} {
		name := fmt.Sprintf("r%d", n)
		must(w.Create(t.Context(), c.author, w.spec(name, r)))(t)
		w.act(name, rollout.Start)
		if _, err := w.Act(t.Context(), c.approver, name, rollout.Approve, ""); c.second != (err == nil) || !c.second && !errors.Is(err, rollout.ErrAuthor) {
			t.Errorf("%s approves what %s made: %v", c.approver.Name, c.author.Name, err)
		}
		w.end(name)
	}
}
