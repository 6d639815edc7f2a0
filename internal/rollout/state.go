package rollout

import (
	"fmt"
	"slices"
	"strings"
)

// A State is where a rollout stands.
type State string

// The states.
const (
	Draft     State = "draft"             // created, does nothing
	Awaiting  State = "awaiting approval" // started, a second person has to agree
	Scheduled State = "scheduled"         // its first stage opens when its time comes
	Running   State = "running"
	Paused    State = "paused"    // offers nothing for now
	Halted    State = "halted"    // something is wrong: offers nothing but the way back
	Aborted   State = "aborted"   // ended for good; older rollouts decide again
	Completed State = "completed" // all stages are done; devices that come later are still offered the release
)

// States are all states, in the order of a rollout's life.
var States = []State{Draft, Awaiting, Scheduled, Running, Paused, Halted, Completed, Aborted}

// decides reports whether a rollout in the state decides for its target.
func (s State) decides() bool {
	return s == Scheduled || s == Running || s == Paused || s == Halted || s == Completed
}

// offers reports whether a rollout in the state offers its release.
func (s State) offers() bool { return s == Running || s == Completed }

// An Action is what an operator does to a rollout.
type Action string

// The actions.
const (
	Start   Action = "start"
	Approve Action = "approve"
	Pause   Action = "pause"
	Resume  Action = "resume"
	Advance Action = "advance" // the next stage opens now, whatever gate, soak and success say
	Halt    Action = "halt"
	Abort   Action = "abort"
	Delete  Action = "delete"
)

// Actions are all actions.
var Actions = []Action{Start, Approve, Pause, Resume, Advance, Halt, Abort, Delete}

// from are the states in which an action is possible.
var from = map[Action][]State{
	Start:   {Draft},
	Approve: {Awaiting},
	Pause:   {Running, Completed},
	Resume:  {Paused, Halted},
	Advance: {Running},
	Halt:    {Running, Paused, Completed},
	Abort:   {Awaiting, Scheduled, Running, Paused, Halted, Completed},
	Delete:  {Draft},
}

// Allowed returns the actions that the state has. Whether an actor may and
// whether there is a stage to advance to is another question.
func (s State) Allowed() []Action {
	allowed := []Action{}
	for _, a := range Actions {
		if slices.Contains(from[a], s) {
			allowed = append(allowed, a)
		}
	}
	return allowed
}

// NeedsWhy reports whether the action is refused without a reason.
func (a Action) NeedsWhy(s State) bool {
	return a == Halt || a == Abort || a == Resume && s == Halted
}

func (a Action) check(s State, why string) error {
	possible, ok := from[a]
	if !ok {
		return fmt.Errorf("%w: action %q: want one of %s", ErrInvalid, a, joined(Actions))
	}
	if !slices.Contains(possible, s) {
		return fmt.Errorf("it is %s, %s needs one that is %s: %w", s, a, joined(possible), ErrState)
	}
	if a.NeedsWhy(s) && why == "" {
		return fmt.Errorf("%w: to %s one that is %s needs a reason", ErrInvalid, a, s)
	}
	return checkText("reason", why, MaxWhy)
}

func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, " or ")
}
