package audit

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of an entry, in bytes. They keep a caller from filling the disk with
// one record.
const (
	MaxActor   = 128
	MaxAction  = 64
	MaxObject  = 256
	MaxAddress = 64
	MaxJSON    = 64 << 10 // of Before and of After
)

// ErrInvalid is wrapped by the refusal of an entry outside its bounds.
var ErrInvalid = errors.New("invalid audit entry")

// An Entry says what happened. Whoever performs an action fills it in.
type Entry struct {
	Actor   string         // who: "user:alice", "device:dev-0001", "system"
	Action  string         // what: "release.publish"
	Object  string         // to what: "release:<identity>"
	Address string         // from where: the peer's network address, or empty
	Before  jsontext.Value // compact JSON, or empty
	After   jsontext.Value // compact JSON, or empty
}

// JSON returns v as the value of Before or After. A value that does not
// marshal yields one that no entry accepts, so the action fails.
func JSON(v any) jsontext.Value {
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return jsontext.Value("!")
	}
	return raw
}

// Normalize compacts the JSON of e and checks every bound. Its error wraps
// ErrInvalid and names the field.
func (e *Entry) Normalize() error {
	for _, f := range []struct {
		name, value string
		max         int
		required    bool
	}{
		{"actor", e.Actor, MaxActor, true},
		{"action", e.Action, MaxAction, true},
		{"object", e.Object, MaxObject, false},
		{"address", e.Address, MaxAddress, false},
	} {
		if f.required && f.value == "" {
			return fmt.Errorf("%w: %s is empty", ErrInvalid, f.name)
		}
		if err := checkText(f.value, f.max); err != nil {
			return fmt.Errorf("%w: %s %w", ErrInvalid, f.name, err)
		}
	}
	if err := compact(&e.Before); err != nil {
		return fmt.Errorf("%w: before %w", ErrInvalid, err)
	}
	if err := compact(&e.After); err != nil {
		return fmt.Errorf("%w: after %w", ErrInvalid, err)
	}
	return nil
}

// checkText refuses what could write a second line, move the cursor or turn
// the direction of text in a terminal or a log.
func checkText(s string, max int) error {
	if len(s) > max {
		return fmt.Errorf("of %d bytes, at most %d", len(s), max)
	}
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("contains the unprintable character %U", r)
		}
	}
	return nil
}

func compact(v *jsontext.Value) error {
	if len(*v) == 0 {
		*v = nil
		return nil
	}
	if len(*v) > MaxJSON {
		return fmt.Errorf("of %d bytes, at most %d", len(*v), MaxJSON)
	}
	c := v.Clone()
	// Compact changes nothing but spaces: the hash covers what was written.
	if !c.IsValid() || c.Compact() != nil {
		return errors.New("is not JSON in UTF-8 with each name once")
	}
	if string(c) == "null" { // says no more than nothing does
		c = nil
	}
	*v = c
	return nil
}
