package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/manifest"
)

// maxScope is how many device types, and how many actions, a scope may name.
const maxScope = 32

// A Scope narrows what a role allows. The zero value narrows nothing.
type Scope struct {
	// DeviceTypes are the only ones that may be seen or changed. What is about
	// all types, such as the audit log, is then out of bounds.
	DeviceTypes []string `json:"device_types,omitempty"`
	// Actions are the only ones allowed, by the names that the audit log has:
	// "release.publish". One that ends in a dot is all below it: "release.".
	Actions []string `json:"actions,omitempty"`
}

// IsZero reports whether it narrows nothing.
func (s Scope) IsZero() bool { return len(s.DeviceTypes)+len(s.Actions) == 0 }

// Validate refuses what names nothing.
func (s Scope) Validate() error {
	if len(s.DeviceTypes) > maxScope || len(s.Actions) > maxScope {
		return fmt.Errorf("scope: more than %d device types or actions", maxScope)
	}
	for _, t := range s.DeviceTypes {
		if err := manifest.CheckName(t); err != nil {
			return fmt.Errorf("scope: device type: %w", err)
		}
	}
	for _, a := range s.Actions {
		if !plainAction(a) {
			return fmt.Errorf("scope: action %q: want one such as release.publish, or all below one with a dot at the end", a)
		}
	}
	return nil
}

func plainAction(a string) bool {
	return a != "" && len(a) <= 64 && a[0] != '.' && strings.Trim(a, "abcdefghijklmnopqrstuvwxyz.-") == ""
}

// Permits reports whether an action is in it.
func (s Scope) Permits(action string) bool {
	if len(s.Actions) == 0 {
		return true
	}
	return slices.ContainsFunc(s.Actions, func(a string) bool {
		return a == action || strings.HasSuffix(a, ".") && strings.HasPrefix(action, a)
	})
}

// Covers reports whether all the device types are in it. None stands for
// something that is about all of them.
func (s Scope) Covers(deviceTypes ...string) bool {
	if len(s.DeviceTypes) == 0 {
		return true
	}
	for _, t := range deviceTypes {
		if !slices.Contains(s.DeviceTypes, t) {
			return false
		}
	}
	return len(deviceTypes) > 0
}
