package bootloader

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A UBoot is the U-Boot environment, reached through fw_printenv and fw_setenv.
//
//	ota_slot           the slot that bootcmd starts: a or b
//	ota_fallback       the slot that altbootcmd puts into ota_slot
//	upgrade_available  1 while ota_slot is on trial: U-Boot then counts bootcount up, and saves it, before the jump
//	bootcount          boots of the trial so far
//	bootlimit          when bootcount is above it, U-Boot runs altbootcmd
//
// All variables of a switch are written by one call, and the environment has to
// be a redundant one, so that a power cut leaves the old or the new. bootcmd
// must put ota.slot=${ota_slot} on the kernel's command line (docs/agent.md).
type UBoot struct {
	Printenv string // "": fw_printenv
	Setenv   string // "": fw_setenv
	Cmdline  string // file with the kernel's command line; "": /proc/cmdline
	Tries    int    // boots of a trial; 0: DefaultTries
}

// Status reads the environment and the kernel's command line.
func (u UBoot) Status(ctx context.Context) (State, error) {
	running, err := u.running()
	if err != nil {
		return State{}, err
	}
	out, err := run(ctx, "", orDefault(u.Printenv, "fw_printenv"))
	if err != nil {
		return State{}, fmt.Errorf("read U-Boot environment: %w", err)
	}
	env := variables(out)
	slot, err := Parse(env["ota_slot"])
	if err != nil || slot == None {
		return State{}, fmt.Errorf("read U-Boot environment: %w: ota_slot is %q", ErrNoRecord, env["ota_slot"])
	}
	if env["upgrade_available"] != "1" {
		return State{Running: running, Active: slot, Trial: None}, nil
	}
	return State{Running: running, Active: 1 - slot, Trial: slot, Tries: max(0, number(env["bootlimit"])-number(env["bootcount"]))}, nil
}

// running reads which slot was booted: the environment only says which is next.
func (u UBoot) running() (int, error) {
	path := orDefault(u.Cmdline, "/proc/cmdline")
	line, err := os.ReadFile(path)
	if err != nil {
		return None, fmt.Errorf("find the running slot: %w", err)
	}
	for word := range strings.FieldsSeq(string(line)) {
		if name, ok := strings.CutPrefix(word, "ota.slot="); ok && name != "" {
			return Parse(name)
		}
	}
	return None, fmt.Errorf("find the running slot: %s has no ota.slot=a or ota.slot=b: bootcmd has to pass it (docs/agent.md)", path)
}

// Try has the slot booted next, on trial.
func (u UBoot) Try(ctx context.Context, slot int) error {
	if err := checkSlot(slot); err != nil {
		return err
	}
	tries := u.Tries
	if tries == 0 {
		tries = DefaultTries
	}
	return u.write(ctx, [][2]string{
		{"ota_slot", Name(slot)}, {"ota_fallback", Name(1 - slot)},
		{"upgrade_available", "1"}, {"bootcount", "0"}, {"bootlimit", strconv.Itoa(tries)},
	})
}

// Set has the slot booted from now on, without a trial.
func (u UBoot) Set(ctx context.Context, slot int) error {
	if err := checkSlot(slot); err != nil {
		return err
	}
	return u.write(ctx, [][2]string{{"ota_slot", Name(slot)}, {"upgrade_available", "0"}, {"bootcount", "0"}})
}

// write sets the variables at once and reads them back: a fw_setenv with a
// wrong fw_env.config may write somewhere else and say nothing.
func (u UBoot) write(ctx context.Context, vars [][2]string) error {
	var script strings.Builder
	for _, v := range vars {
		// With "=", not a blank: libubootenv skips a line without "=" and exits with 0.
		fmt.Fprintf(&script, "%s=%s\n", v[0], v[1])
	}
	if _, err := run(ctx, script.String(), orDefault(u.Setenv, "fw_setenv"), "--script", "-"); err != nil {
		return fmt.Errorf("write U-Boot environment: %w", err)
	}
	out, err := run(ctx, "", orDefault(u.Printenv, "fw_printenv"))
	if err != nil {
		return fmt.Errorf("read U-Boot environment back: %w", err)
	}
	env := variables(out)
	for _, v := range vars {
		if env[v[0]] != v[1] {
			return fmt.Errorf("write U-Boot environment: %s reads back as %q, not %q: check fw_env.config", v[0], env[v[0]], v[1])
		}
	}
	return nil
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// number reads a count of the environment; what is none counts as 0.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
