package rollout

import "errors"

// What callers tell apart with errors.Is.
var (
	ErrNotFound = errors.New("no such rollout")
	ErrExists   = errors.New("a rollout of that name exists already")
	ErrInvalid  = errors.New("invalid rollout")
	// ErrState refuses an action that the rollout's present state does not have.
	ErrState = errors.New("not in this state")
	// ErrAuthor refuses an author who approves his own rollout.
	ErrAuthor = errors.New("a second person has to approve")
	// ErrOffer says that the device type offers every release to all.
	ErrOffer = errors.New("the device type does not wait for rollouts")
	// ErrCohort says that devices of the target could never verify the release.
	ErrCohort = errors.New("devices of the target could never verify the release")
	// ErrRelease says that a release cannot be rolled out.
	ErrRelease = errors.New("the release cannot be rolled out")
	// ErrActive refuses to let a type offer every release while a rollout is on.
	ErrActive = errors.New("rollouts of the device type are on")
)
