package inventory

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by the refusal of a file.
var ErrMalformed = errors.New("malformed list of devices")

// An Error says where a file is wrong. It wraps ErrMalformed.
type Error struct {
	Place Place
	Err   error
}

// Error names the place.
func (e *Error) Error() string { return fmt.Sprintf("%v: %s: %v", ErrMalformed, e.Place, e.Err) }

// Unwrap returns ErrMalformed and what is wrong.
func (e *Error) Unwrap() []error { return []error{ErrMalformed, e.Err} }

// A Place is where in a file a device stands.
type Place struct {
	What   string // "line" of CSV, "entry" of JSON
	Number int    // from 1
}

// String returns "line 7".
func (p Place) String() string { return fmt.Sprintf("%s %d", p.What, p.Number) }
