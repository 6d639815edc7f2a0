package version

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is wrapped by every error of this package.
var ErrInvalid = errors.New("invalid version")

// ParseError says why a text is not a version. It wraps [ErrInvalid].
type ParseError struct {
	Text   string // what was parsed, cut after MaxLength bytes; quote it before showing it
	Reason string // what is wrong with it, safe to show
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("%v %q: %s; want x.y.z, such as 1.4.0, 1.4.0-rc.1 or 1.4.0+build.7", ErrInvalid, e.Text, e.Reason)
}

// Unwrap returns [ErrInvalid].
func (e *ParseError) Unwrap() error { return ErrInvalid }

// Parse reads a semantic version. The error is a [*ParseError].
func Parse(text string) (Version, error) {
	if len(text) > MaxLength {
		reason := fmt.Sprintf("%d bytes long, the limit is %d", len(text), MaxLength)
		return Version{}, &ParseError{Text: text[:MaxLength], Reason: reason}
	}
	// The first "+" starts the build metadata and may be followed by any "-";
	// the first "-" before it starts the prerelease.
	rest, build, hasBuild := strings.Cut(text, "+")
	core, pre, hasPre := strings.Cut(rest, "-")

	reason := checkCore(core)
	if reason == "" && hasPre {
		reason = checkIdentifiers("prerelease", pre, true)
	}
	if reason == "" && hasBuild {
		reason = checkIdentifiers("build metadata", build, false)
	}
	if reason != "" {
		return Version{}, &ParseError{Text: text, Reason: reason}
	}
	return Version{text: text, core: uint8(len(core)), pre: uint8(len(rest))}, nil
}

// checkCore returns what is wrong with the part before "-" and "+", "" if nothing is.
func checkCore(core string) string {
	if core == "" {
		return "it does not start with a number"
	}
	if n := strings.Count(core, ".") + 1; n != 3 {
		return fmt.Sprintf("%d of 3 numbers separated by dots", n)
	}
	for number := range strings.SplitSeq(core, ".") {
		switch {
		case !isNumber(number):
			return fmt.Sprintf("%q is not a number", number)
		case hasLeadingZero(number):
			return fmt.Sprintf("the number %q has a leading zero", number)
		}
	}
	return ""
}

// checkIdentifiers returns what is wrong with a dotted list, "" if nothing is.
// In a prerelease numbers are ordered, so each has only one spelling; build
// metadata is not ordered and may have leading zeros.
func checkIdentifiers(part, list string, canonicalNumbers bool) string {
	for id := range strings.SplitSeq(list, ".") {
		switch {
		case id == "":
			return "the " + part + " has an empty identifier"
		case strings.Trim(id, identifierChars) != "":
			return fmt.Sprintf("the %s %q has other characters than 0-9, A-Z, a-z and -", part, id)
		case canonicalNumbers && isNumber(id) && hasLeadingZero(id):
			return fmt.Sprintf("the number %q in the %s has a leading zero", id, part)
		}
	}
	return ""
}

const (
	digits          = "0123456789"
	identifierChars = digits + "-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func isNumber(s string) bool { return s != "" && strings.Trim(s, digits) == "" }

func hasLeadingZero(number string) bool { return len(number) > 1 && number[0] == '0' }
