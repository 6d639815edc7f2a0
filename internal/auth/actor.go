package auth

import (
	"fmt"
	"strings"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// An Actor is who does something, for the audit log and for authorisation. The
// zero value may do nothing.
type Actor struct {
	Name    string // "user:alice", "system"
	Role    Role
	Address string // where the request came from; empty: this machine
	Scope   Scope  // what narrows the role
}

// Require refuses (ErrForbidden) who has less than the role needed.
func (a Actor) Require(needed Role) error {
	if a.Role < needed {
		return fmt.Errorf("%s is %s, this needs %s: %w", a.Name, a.Role, needed, ErrForbidden)
	}
	return nil
}

// Permit refuses (ErrForbidden) what is outside the actor's scope: the action,
// or what it is about, which is all device types unless some are named.
func (a Actor) Permit(action string, deviceTypes ...string) error {
	switch {
	case !a.Scope.Permits(action):
		return fmt.Errorf("%s may not %s, only %s: %w", a.Name, action, strings.Join(a.Scope.Actions, ", "), ErrForbidden)
	case !a.Scope.Covers(deviceTypes...):
		return fmt.Errorf("%s may %s for device type %s only: %w", a.Name, action, strings.Join(a.Scope.DeviceTypes, ", "), ErrForbidden)
	}
	return nil
}

// Entry returns the audit entry of something that the actor does.
func (a Actor) Entry(action, object string) audit.Entry {
	return audit.Entry{Actor: a.Name, Action: action, Object: object, Address: a.Address}
}
