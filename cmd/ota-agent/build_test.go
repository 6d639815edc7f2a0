package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxSize is the budget of the binary, in bytes: an agent shares the flash of a
// router with all else.
const maxSize = 9_000_000

// forbidden must not be linked: an agent has no database and no signing key.
var forbidden = []string{"database/sql", "modernc.org", "secure-ota/signing", "secure-ota/server", "secure-ota/repository", "spf13/cobra"}

func build(t *testing.T, env ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "ota-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, ".")
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux"), env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build for %v: %v\n%s", env, err, msg)
	}
	return out
}

func TestBinaryIsSmallAndKnowsNoSecretsOfOthers(t *testing.T) {
	info, err := os.Stat(build(t, "GOARCH=amd64"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ota-agent for linux/amd64: %d bytes, at most %d", info.Size(), maxSize)
	if info.Size() > maxSize {
		t.Errorf("the binary has %d bytes, the budget is %d", info.Size(), maxSize)
	}
	deps, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(deps)) {
		for _, f := range forbidden {
			if strings.Contains(dep, f) {
				t.Errorf("the agent links %s", dep)
			}
		}
	}
}

func TestBuildsForEveryKindOfDevice(t *testing.T) {
	if os.Getenv("OTA_LONG") == "" {
		t.Skip("compiles the standard library four times; OTA_LONG=1 runs it, and so does `make cross`")
	}
	for _, env := range [][]string{{"GOARCH=arm64"}, {"GOARCH=arm", "GOARM=6"}, {"GOARCH=mipsle", "GOMIPS=softfloat"}, {"GOARCH=riscv64"}} {
		info, err := os.Stat(build(t, env...))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", strings.Join(env, " "), info.Size())
	}
}
