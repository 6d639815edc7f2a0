// Package testenv is what tests need of the machine they run on.
package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// CI reports whether a missing tool is a failure: there, a skipped test is a
// test that nobody ran.
func CI() bool { return os.Getenv("CI") == "true" }

// Tool returns the path of a program. Where it is missing the test is skipped,
// in CI it fails; either way it says which Debian package has it.
func Tool(t testing.TB, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case CI():
		t.Fatalf("%s is missing: install Debian's package %s", name, debianPackage)
	default:
		t.Skipf("%s is missing: install Debian's package %s", name, debianPackage)
	}
	return ""
}
