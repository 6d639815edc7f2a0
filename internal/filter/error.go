package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrInvalid is wrapped by every error of this package.
var ErrInvalid = errors.New("invalid filter")

// An Error says where and why a text is not a filter. It wraps ErrInvalid.
type Error struct {
	Text   string // what was parsed
	Pos    int    // byte offset in Text at which it went wrong; len(Text): at its end
	Found  string // what stands there, quoted; "the end" at the end
	Wanted string // what could stand there, or what is wrong with it
}

// Error names the place by its column, which counts characters from 1.
func (e *Error) Error() string {
	return fmt.Sprintf("%v, column %d: found %s; %s", ErrInvalid, e.Column(), e.Found, e.Wanted)
}

// Unwrap returns ErrInvalid.
func (e *Error) Unwrap() error { return ErrInvalid }

// Column returns the place as people count it: characters from 1.
func (e *Error) Column() int { return utf8.RuneCountInString(e.Text[:e.Pos]) + 1 }

// Caret returns the filter in one line and, in a second, a mark below the
// place.
func (e *Error) Caret() string {
	line := strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(e.Text)
	return line + "\n" + strings.Repeat(" ", e.Column()-1) + "^"
}
