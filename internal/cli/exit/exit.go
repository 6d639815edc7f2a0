// Package exit holds the exit codes of the command line (docs/cli.md) and how
// an error chooses one.
package exit

import (
	"errors"
	"fmt"
)

// The exit codes.
const (
	OK      = 0 // done; for verify: it verifies
	Refused = 1 // refused or failed; for verify: it does not verify
	Usage   = 2 // the command line itself is wrong, nothing was tried
)

// A UsageError says that the command line is wrong.
type UsageError struct {
	Command string // whose help to read, such as "ota key generate"
	Usage   string // how it is used, such as "ota key generate NAME [flags]"
	Err     error
}

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef returns a UsageError; WithCommand adds the command.
func Usagef(format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...)}
}

// WithCommand names the command in a UsageError; other errors stay as they are.
func WithCommand(err error, command, use string) error {
	var usage *UsageError
	if errors.As(err, &usage) && usage.Command == "" {
		usage.Command, usage.Usage = command, use
	}
	return err
}

// Code returns the exit code for the error of a command.
func Code(err error) int {
	var usage *UsageError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &usage):
		return Usage
	default:
		return Refused
	}
}
