//go:build unix

package s3

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/testenv"
)

// The server, pinned.
const (
	gatewayPackage = "github.com/versity/versitygw/cmd/versitygw"
	gatewayVersion = "v1.8.0"
)

// gateway returns the path of the server, which it builds on the first call on
// a machine. Without a network the test is skipped, and in CI it fails.
func gateway(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "secure-ota-test", "versitygw-"+gatewayVersion)
	path := filepath.Join(dir, "versitygw")
	if err := ready(dir, path); err != nil {
		if testenv.CI() {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// ready builds the server unless it is there. One process does, the others
// wait.
func ready(dir, path string) error {
	if err := fsatomic.MkdirAll(fsatomic.OS(), dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return install(dir)
}

func install(dir string) error {
	made, err := os.MkdirTemp("", "versitygw-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	cmd := exec.Command("go", "install", gatewayPackage+"@"+gatewayVersion)
	cmd.Dir = made // outside of this module
	cmd.Env = append(os.Environ(), "GOBIN="+made, "GOFLAGS=", "CGO_ENABLED=0")
	var words bytes.Buffer
	cmd.Stderr = &words
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the S3 server %s: %w\n%s", gatewayVersion, err, words.Bytes())
	}
	return place(filepath.Join(made, "versitygw"), filepath.Join(dir, "versitygw"))
}

// place copies a program to its place: the cache may be another file system.
func place(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return fsatomic.WriteFile(fsatomic.OS(), to, program, 0o700)
}
