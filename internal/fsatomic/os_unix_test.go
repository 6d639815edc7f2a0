//go:build unix

package fsatomic_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/testenv"
)

func TestPermissionsWhateverTheUmask(t *testing.T) {
	for _, c := range []struct {
		umask      int
		perm, want fs.FileMode
	}{
		{0, 0o600, 0o600},
		{0o022, 0o600, 0o600},
		{0o777, 0o600, 0o600}, // the owner's bits are restored
		{0o777, 0o400, 0o400},
		{0o022, 0o644, 0o644},
		{0o077, 0o644, 0o600}, // others stay out
		{0, 0o644, 0o644},
	} {
		name := filepath.Join(t.TempDir(), "f")
		before := syscall.Umask(c.umask)
		createErr := fsatomic.CreateFile(fsatomic.OS(), name, oldData, c.perm)
		writeErr := fsatomic.WriteFile(fsatomic.OS(), name, newData, c.perm)
		syscall.Umask(before)
		info, err := os.Stat(name)
		if err := errors.Join(createErr, writeErr, err); err != nil {
			t.Fatal(err)
		}
		if info.Mode() != c.want {
			t.Errorf("umask %o, asked for %o: mode %o, want %o", c.umask, c.perm, info.Mode(), c.want)
		}
	}
}

func TestWriteFileRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink(pipe, link)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{pipe, link, dir} {
		if err := fsatomic.WriteFile(fsatomic.OS(), name, newData, 0o600); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantNames(t, fsatomic.OS(), dir, "pipe", "link")
	if info, err := os.Lstat(pipe); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		t.Errorf("the pipe is %v, %v", info, err)
	}
}

func TestReplaceSymlinkOnTheRealFileSystem(t *testing.T) {
	c, name := fsatomic.OS(), filepath.Join(t.TempDir(), "current")
	for _, target := range []string{"a", "b"} {
		if err := fsatomic.ReplaceSymlink(c, target, name); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(name); err != nil || got != target {
			t.Errorf("links to %q, %v", got, err)
		}
	}
	wantNames(t, c, filepath.Dir(name), "current")
}

func TestCausesOfTheSystemStayVisible(t *testing.T) {
	if !testenv.Unprivileged(t) {
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	err := fsatomic.WriteFile(fsatomic.OS(), filepath.Join(dir, "f"), newData, 0o600)
	if !errors.Is(err, syscall.EACCES) {
		t.Errorf("error %v, want EACCES", err)
	}
}

// A service may live below a directory that it can pass through but not open.
func TestMkdirAllBelowADirectoryThatCannotBeOpened(t *testing.T) {
	if !testenv.Unprivileged(t) {
		return
	}
	closed := filepath.Join(t.TempDir(), "closed")
	open := filepath.Join(closed, "open")
	if err := errors.Join(os.MkdirAll(open, 0o700), os.Chmod(closed, 0o100)); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(closed, 0o700)
	if err := fsatomic.MkdirAll(fsatomic.OS(), filepath.Join(open, "new"), 0o700); err != nil {
		t.Error(err)
	}
}
