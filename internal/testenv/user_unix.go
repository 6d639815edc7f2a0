//go:build unix

package testenv

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user who owns nothing.
const nobody = 65534

// Unprivileged reports whether file modes bind this process. They do not bind
// root: then it runs the test that calls it again as nobody, in a process of
// its own, and there is nothing left to do here.
func Unprivileged(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		return true
	}
	// Through /proc or not, the binary may stand where only root can look for it.
	self, err := os.Executable()
	if _, noProc := os.Stat("/proc/self/exe"); noProc == nil {
		self, err = "/proc/self/exe", nil
	}
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.v", "-test.run", "^"+t.Name()+"$")
	child.Dir = "/"
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	return false
}
