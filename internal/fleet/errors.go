package fleet

import (
	"errors"
	"fmt"
	"time"
)

// What callers tell apart with errors.Is.
var (
	// ErrUnauthenticated is one answer to an unknown device, a revoked one, a
	// wrong key or token, and a wrong code: nobody learns which devices exist.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrKeyed refuses an unauthenticated form to a device with a key.
	ErrKeyed = errors.New("the device has a key and must use it")
	// ErrRecorded marks the refusal of an authentic message: it is on record by
	// itself.
	ErrRecorded = errors.New("authentic, but refused")
	// ErrStorage says that the effect could not be committed, so that there is
	// none; the same request may succeed later.
	ErrStorage  = errors.New("storage failed")
	ErrNotFound = errors.New("no such device")
	ErrExists   = errors.New("device exists already")
	ErrNoKeyset = errors.New("no keyset is published for the device type")
	ErrInvalid  = errors.New("invalid request")
	// ErrNoRelease refuses a pin to a version of which nothing is on offer.
	ErrNoRelease = errors.New("no release of it is on offer")
	// ErrHeld and ErrPinned are why a newer release is not offered.
	ErrHeld   = errors.New("an operator holds the device")
	ErrPinned = errors.New("an operator pinned the device")
)

// A RateError refuses a device that asks too often. Wait is when to come again.
type RateError struct{ Wait time.Duration }

// Error implements error.
func (e *RateError) Error() string { return fmt.Sprintf("too many requests, come again in %s", e.Wait) }
