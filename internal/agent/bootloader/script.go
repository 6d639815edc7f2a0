package bootloader

import (
	"context"
	"fmt"
	"strconv"
)

// A Script is any other boot loader, behind a program with three verbs:
//
//	PROGRAM status     prints running=a, active=a, trial=b or trial=, tries=3, a line each
//	PROGRAM try b      has slot b booted next, on trial, and falls back to the active slot by itself
//	PROGRAM set a      has slot a booted from now on, without a trial
//
// It exits 0 only if what it did is durable. try and set have to be atomic.
type Script struct {
	Program string
}

// Status asks the program.
func (s Script) Status(ctx context.Context) (State, error) {
	out, err := run(ctx, "", s.Program, "status")
	if err != nil {
		return State{}, fmt.Errorf("boot loader: %w", err)
	}
	vars := variables(out)
	st := State{}
	for _, field := range []struct {
		name string
		slot *int
		must bool
	}{{"running", &st.Running, true}, {"active", &st.Active, true}, {"trial", &st.Trial, false}} {
		*field.slot, err = Parse(vars[field.name])
		if err != nil || field.must && *field.slot == None {
			return State{}, fmt.Errorf("boot loader: %s status: %w: %s is %q", s.Program, ErrNoRecord, field.name, vars[field.name])
		}
	}
	if st.Trial != None {
		if st.Tries, err = strconv.Atoi(vars["tries"]); err != nil {
			return State{}, fmt.Errorf("boot loader: %s status: tries is %q", s.Program, vars["tries"])
		}
	}
	return st, nil
}

// Try has the slot booted next, on trial.
func (s Script) Try(ctx context.Context, slot int) error { return s.do(ctx, "try", slot) }

// Set has the slot booted from now on.
func (s Script) Set(ctx context.Context, slot int) error { return s.do(ctx, "set", slot) }

func (s Script) do(ctx context.Context, verb string, slot int) error {
	if err := checkSlot(slot); err != nil {
		return err
	}
	if _, err := run(ctx, "", s.Program, verb, Name(slot)); err != nil {
		return fmt.Errorf("boot loader: %w", err)
	}
	return nil
}
