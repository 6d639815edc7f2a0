package bootloader

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

// envSize is the size of one copy of the environment, in bytes.
const envSize = 0x2000

// realUBoot is the environment of U-Boot in a plain file, in one or two copies,
// behind the fw_printenv and fw_setenv of libubootenv.
func realUBoot(t *testing.T, env string, copies int) machine {
	t.Helper()
	setenv := testenv.Tool(t, "fw_setenv", "libubootenv-tool")
	printenv := testenv.Tool(t, "fw_printenv", "libubootenv-tool")
	if err := os.WriteFile(env, make([]byte, copies*envSize), 0o600); err != nil {
		t.Fatal(err)
	}
	d := t.TempDir()
	var config strings.Builder
	for n := range copies {
		fmt.Fprintf(&config, "%s 0x%x 0x%x\n", env, n*envSize, envSize)
	}
	with := func(tool string) string {
		return fmt.Sprintf("#!/bin/sh\nexec %s -c %s/fw_env.config -f %s/default \"$@\"\n", tool, d, d)
	}
	script(t, filepath.Join(d, "fw_env.config"), config.String())
	script(t, filepath.Join(d, "default"), "bootcmd=run ota\nota_slot=a\n")
	u := UBoot{
		Printenv: script(t, filepath.Join(d, "printenv"), with(printenv)),
		Setenv:   script(t, filepath.Join(d, "setenv"), with(setenv)),
		Cmdline:  script(t, filepath.Join(d, "cmdline"), "ota.slot=a\n"), Tries: 2,
	}
	return machine{u, func(t *testing.T) { ubootReset(t, u) }}
}

// Of two copies either may be torn: what is read then is the switch before or
// the one after, and never half of one.
func TestEitherCopyOfTheEnvironmentMayBeTorn(t *testing.T) {
	for n := range 2 {
		env := filepath.Join(t.TempDir(), "env")
		m := realUBoot(t, env, 2)
		before := State{Running: 0, Active: 0, Trial: None}
		after := State{Running: 0, Active: 0, Trial: 1, Tries: 2}
		// Twice: only then both copies have been written.
		if err := m.Set(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := m.Set(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := m.Try(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(env)
		if err != nil {
			t.Fatal(err)
		}
		clear(raw[n*envSize+envSize/2 : (n+1)*envSize])
		raw[n*envSize+10] ^= 0xff
		if err := os.WriteFile(env, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Status(t.Context()); err != nil || got != before && got != after {
			t.Errorf("copy %d torn: %+v, %v", n, got, err)
		}
		if err := m.Try(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		m.want(t, after)
	}
}
