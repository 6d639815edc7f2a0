package version

import (
	"fmt"
	"strings"
)

// MaxLength is the most bytes the text of a version may have. The specification
// sets no limit; ours lets devices keep a version in a small fixed buffer.
const MaxLength = 64

// Version is one semantic version, immutable and cheap to copy.
//
// The zero Version means "no version": [Version.IsZero] reports it, it is older
// than every parsed version, its text is empty, and it can not be marshalled.
//
// The == operator compares texts, build metadata included; precedence is [Compare].
type Version struct {
	text string
	core uint8 // text[:core] is x.y.z
	pre  uint8 // text[core:pre] is "" or "-" and the prerelease; text[pre:] is "" or "+" and the build
}

// IsZero reports whether v is the zero Version, which no text parses to.
func (v Version) IsZero() bool { return v.text == "" }

// String returns exactly the text that was parsed, "" for the zero Version.
func (v Version) String() string { return v.text }

// Core returns the three numbers, as in "1.4.0".
func (v Version) Core() string { return v.text[:v.core] }

// Prerelease returns what follows "-", as in "rc.1", or "" for a release.
func (v Version) Prerelease() string { return strings.TrimPrefix(v.text[v.core:v.pre], "-") }

// Build returns the metadata that follows "+", or "". It never affects precedence.
func (v Version) Build() string { return strings.TrimPrefix(v.text[v.pre:], "+") }

// MarshalText returns the text of v, or an error wrapping [ErrInvalid] if v is zero:
// what it wrote could not be read back. In JSON, tag optional fields omitzero.
func (v Version) MarshalText() ([]byte, error) {
	if v.IsZero() {
		return nil, fmt.Errorf("marshal the zero version: %w", ErrInvalid)
	}
	return []byte(v.text), nil
}

// UnmarshalText sets v as [Parse] does. On error v is left as it was.
func (v *Version) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
