package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// noRaceSleep keeps the race detector from sleeping a second at the end of every
// process, of which the scripts start hundreds.
const noRaceSleep = "atexit_sleep_ms=0"

// TestMain lets the scripts, and tests of whole processes, run this test
// binary as "ota".
func TestMain(m *testing.M) {
	os.Setenv("GORACE", noRaceSleep)
	testscript.Main(m, map[string]func(){"ota": main})
}

// TestScript runs testdata/script: every command with its edges, as people
// type it.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("OTA_SHARED", shared(t))
			env.Setenv("GORACE", noRaceSleep)
			env.Values[serverKey{}] = &stopper{}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "firmware":
				return shared(t) != "", nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit": exitCmd, "flip": flipCmd, "truncate": truncateCmd, "mode": modeCmd, "sigstructure": sigStructureCmd,
			"server": serverCmd, "stopserver": stopServerCmd,
		},
	})
}

// shared returns the folder of shared test data, "" if it is absent. In CI it
// is never absent.
func shared(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("OTA_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "firmware"))
	}
	if err == nil {
		return dir
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("shared test data: %v", err)
	}
	t.Logf("shared test data is absent, tests that need it are skipped: %v", err)
	return ""
}

// exitCmd is "exit CODE ARGS...": runs ota in this process and wants that exit
// code. Its output goes to the script's stdout and stderr.
func exitCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		var ok bool
		if got, ok = exitCode(err); !ok {
			ts.Fatalf("%v", err)
		}
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func exitCode(err error) (int, bool) {
	e, ok := err.(interface{ ExitCode() int })
	if !ok {
		return 0, false
	}
	return e.ExitCode(), true
}

// flipCmd is "flip FILE BYTE": changes the lowest bit of one byte, counted from
// the end if negative.
func flipCmd(ts *testscript.TestScript, neg bool, args []string) {
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(name, data, 0o600))
}

// truncateCmd is "truncate FILE SIZE".
func truncateCmd(ts *testscript.TestScript, neg bool, args []string) {
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// modeCmd is "mode PERM FILE...": wants exactly these permissions.
func modeCmd(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if info.Mode().Perm() != fs.FileMode(want) {
			ts.Fatalf("%s has mode %04o, want %04o", name, info.Mode().Perm(), want)
		}
	}
}

// sigStructureCmd is "sigstructure FILE": writes a file that begins like the
// inside of a COSE object.
func sigStructureCmd(ts *testscript.TestScript, neg bool, args []string) {
	data := append([]byte("\x85\x69Signature"), bytes.Repeat([]byte{0x40}, 300)...)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}
