// Package bootloader tells the boot loader of an A/B device which slot to start.
//
// Three are here: File, a record of our own that the boot stage of ota-agent
// reads; UBoot, through the U-Boot environment; and Script, for everything
// else. With each, the switch to a new slot is one atomic write, and a slot on
// trial has its tries counted down before the jump, so that an image that
// hangs at once still ends its trial.
package bootloader

import (
	"errors"
	"fmt"
)

// None is the slot number that means no slot.
const None = -1

// A State is what a boot loader knows.
type State struct {
	Running int // the slot that was booted
	Active  int // the slot to boot when there is no trial, and to fall back to
	Trial   int // the slot to boot on trial; None: no trial
	Tries   int // boots left to the trial
}

// DefaultTries is how often a slot is booted on trial before the boot loader
// falls back.
const DefaultTries = 3

// MaxTries bounds the tries that can be configured.
const MaxTries = 100

// ErrNoRecord is wrapped by the error that says that the boot loader was never
// told which slot to boot, or lost it.
var ErrNoRecord = errors.New("the boot record is missing or damaged")

// Name returns the name of a slot, "a" or "b"; "" for None.
func Name(slot int) string {
	if slot == None {
		return ""
	}
	return string(rune('a' + slot))
}

// Parse returns the slot of that name, None for "".
func Parse(name string) (int, error) {
	switch name {
	case "":
		return None, nil
	case "a":
		return 0, nil
	case "b":
		return 1, nil
	}
	return None, fmt.Errorf("slot %q: want a or b", name)
}

// checkSlot guards against a slot that is none: it comes from stored state.
func checkSlot(slot int) error {
	if slot != 0 && slot != 1 {
		return fmt.Errorf("slot %d: want 0 or 1", slot)
	}
	return nil
}
