package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

// maxSize is the budget of the binary, in bytes: an agent shares the flash of a
// router with all else.
const maxSize = 9_000_000

// forbidden must not be linked: an agent has no database and no signing key.
var forbidden = []string{"database/sql", "modernc.org", "secure-ota/signing", "secure-ota/server", "secure-ota/repository", "spf13/cobra"}

// kinds are the kinds of devices, as in the Makefile.
var kinds = [][]string{
	{"GOARCH=amd64"}, {"GOARCH=arm64"}, {"GOARCH=arm", "GOARM=6"}, {"GOARCH=mipsle", "GOMIPS=softfloat"}, {"GOARCH=riscv64"},
}

// build builds the agent as the Makefile does, so that what that compiled is in the cache.
func build(t *testing.T, env ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "ota-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-ldflags", "-s -w", "-o", out, ".")
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux"), env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build for %v: %v\n%s", env, err, msg)
	}
	return out
}

func TestBinaryIsSmallOnEveryKindOfDevice(t *testing.T) {
	for _, env := range kinds {
		if env[0] != "GOARCH=amd64" && !testenv.CI() && os.Getenv("OTA_LONG") == "" {
			t.Logf("%v: not built here, but with CI=true or OTA_LONG=1", env)
			continue
		}
		info, err := os.Stat(build(t, env...))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v: %d bytes, at most %d", env, info.Size(), maxSize)
		if info.Size() > maxSize {
			t.Errorf("%v: the binary has %d bytes, the budget is %d", env, info.Size(), maxSize)
		}
	}
}

func TestBinaryKnowsNoSecretsOfOthers(t *testing.T) {
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
