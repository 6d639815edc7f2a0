package fsatomic_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
)

func create(t *testing.T, c fsatomic.FS) *fsatomic.Pending {
	t.Helper()
	p, err := fsatomic.Create(c, "/f", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(newData); err != nil {
		t.Fatal(err)
	}
	return p
}

// wantEmpty fails if the root holds anything, leftovers included.
func wantEmpty(t *testing.T, c fsatomic.FS) {
	t.Helper()
	if entries, err := c.ReadDir("/"); err != nil || len(entries) > 0 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}

func TestPendingIsInvisibleUntilCommitted(t *testing.T) {
	c := crashfs.New()
	p := create(t, c)
	wantOneOf(t, c, "/f", nil)
	entries, err := c.ReadDir("/")
	if err != nil || len(entries) != 1 || !fsatomic.Leftover(entries[0].Name()) {
		t.Fatalf("%v, %v: want one temporary", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode() != 0o600 {
		t.Errorf("the temporary has mode %v, %v", info.Mode(), err)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	wantOneOf(t, c, "/f", newData)
}

func TestAbortRemovesTheTemporaryAndMayBeRepeated(t *testing.T) {
	c := crashfs.New()
	p := create(t, c)
	for range 2 {
		if err := p.Abort(); err != nil {
			t.Error(err)
		}
	}
	wantEmpty(t, c)
}

func TestAbortAfterCommitKeepsTheFile(t *testing.T) {
	for name, commit := range map[string]func(*fsatomic.Pending) error{
		"Commit": (*fsatomic.Pending).Commit, "CommitNew": (*fsatomic.Pending).CommitNew,
	} {
		c := crashfs.New()
		p := create(t, c)
		if err := errors.Join(commit(p), p.Abort()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantOneOf(t, c, "/f", newData)
	}
}

func TestAFinishedPendingRefuses(t *testing.T) {
	c := crashfs.New()
	committed, aborted := create(t, c), create(t, c)
	if err := errors.Join(committed.Commit(), aborted.Abort()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*fsatomic.Pending{committed, aborted} {
		_, writeErr := p.Write(oldData)
		for _, err := range []error{writeErr, p.Commit(), p.CommitNew()} {
			if !errors.Is(err, fs.ErrClosed) {
				t.Errorf("error %v, want fs.ErrClosed", err)
			}
		}
	}
	wantOneOf(t, c, "/f", newData)
}

// io.Copy and bufio report a failed write, but their callers forget to look.
func TestCommitRefusesAfterAFailedWrite(t *testing.T) {
	c := crashfs.New()
	p := create(t, c)
	c.FailAt(c.Ops()+1, syscall.ENOSPC)
	if n, err := p.Write(newData); !errors.Is(err, syscall.ENOSPC) || n == len(newData) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if _, err := p.Write(newData); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("committed: %v", err)
	}
	wantEmpty(t, c)
}

func TestCommitRefusesADirectory(t *testing.T) {
	c := crashfs.New()
	if err := c.Mkdir("/f", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := fsatomic.WriteFile(c, "/f", newData, 0o600); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	if err := fsatomic.CreateFile(c, "/f", newData, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
}

func TestReplaceSymlinkRefusesAFile(t *testing.T) {
	c := crashfs.New()
	put("/f", oldData)(c)
	if err := fsatomic.ReplaceSymlink(c, "g", "/f"); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	wantOneOf(t, c, "/f", oldData)
}

func TestNamesThatNameNoFileAreRefused(t *testing.T) {
	for _, name := range []string{"", ".", "..", "/", "a/.."} {
		c := crashfs.New()
		if err := fsatomic.WriteFile(c, name, newData, 0o600); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
		wantEmpty(t, c)
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	c := crashfs.New()
	for _, err := range []error{
		fsatomic.WriteFile(c, "/missing/name", nil, 0o600),
		fsatomic.CreateFile(c, "/missing/name", nil, 0o600),
		fsatomic.RemoveDurable(c, "/missing/name"),
		fsatomic.RenameDurable(c, "/missing/name", "/new"),
		fsatomic.ReplaceSymlink(c, "x", "/missing/name"),
	} {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/missing/name") {
			t.Errorf("%v", err)
		}
	}
}

func TestMkdirAllRefusesAFileOnTheWay(t *testing.T) {
	c := crashfs.New()
	put("/f", oldData)(c)
	for _, name := range []string{"/f", "/f/a"} {
		if err := fsatomic.MkdirAll(c, name, 0o700); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeftoverKnowsItsOwnOnly(t *testing.T) {
	c := crashfs.New()
	create(t, c)
	entries, err := c.ReadDir("/")
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	temp := entries[0].Name()
	for _, beside := range []string{"-journal", "-wal", "-shm"} { // of a database that was copied to that name
		if !fsatomic.Leftover(temp + beside) {
			t.Errorf("%s%s is not known", temp, beside)
		}
	}
	if !fsatomic.Leftover(temp) || !fsatomic.Leftover("/some/dir/"+temp) {
		t.Errorf("%s is not known", temp)
	}
	for _, other := range []string{"", "f", ".ota-tmp-", temp + "A", temp[:len(temp)-1], strings.ToLower(temp), temp + "/f", "x" + temp} {
		if fsatomic.Leftover(other) {
			t.Errorf("%q is taken for a leftover", other)
		}
	}
}
