package auth

import (
	"errors"
	"fmt"
)

// A Role says what an operator may do; each may do what those before it may.
// The zero value may do nothing.
type Role uint8

// The roles.
const (
	NoRole        Role = iota
	Viewer             // sees everything but secrets
	Publisher          // adds keysets and signed releases
	Approver           // starts, stops and approves rollouts
	Administrator      // devices, tokens, withdrawal
)

var roles = [...]string{"none", "viewer", "publisher", "approver", "administrator"}

// ErrForbidden is wrapped by the refusal of what an operator's role does not
// allow.
var ErrForbidden = errors.New("not allowed with this role")

// String returns the role in a word.
func (r Role) String() string {
	if int(r) < len(roles) {
		return roles[r]
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// ParseRole reads what String writes, but for "none".
func ParseRole(s string) (Role, error) {
	for r := Viewer; r <= Administrator; r++ {
		if roles[r] == s {
			return r, nil
		}
	}
	return NoRole, fmt.Errorf("role %q: want viewer, publisher, approver or administrator", s)
}

// MarshalText returns the role in a word.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes, but for "none".
func (r *Role) UnmarshalText(text []byte) error {
	parsed, err := ParseRole(string(text))
	*r = parsed
	return err
}
