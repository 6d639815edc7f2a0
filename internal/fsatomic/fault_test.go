package fsatomic_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
)

// faults are what disks report. EPERM from Link also stands for "no hard links here".
var faults = []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EACCES, syscall.EPERM, io.ErrShortWrite}

// sweepFaults checks that run, when one operation fails, reports that cause, keeps what is acknowledged
// after a power cut in the worst mode, and does its work when tried again.
func sweepFaults(t *testing.T, build func(*crashfs.FS), run func(fsatomic.FS) error, check func(testing.TB, fsatomic.FS, bool)) {
	crashfs.SweepFaults(t, faults, build, run, func(t testing.TB, c *crashfs.FS, injected, result error) {
		if result != nil && !errors.Is(result, injected) {
			t.Errorf("the cause is lost")
		}
		check(t, c, result == nil)
		check(t, c.Reboot(crashfs.Lost, 0), result == nil)
		if result == nil {
			return
		}
		if err := run(c); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("tried again: %v", err)
		}
		check(t, c.Reboot(crashfs.Lost, 0), true)
	})
}

func TestWriteReportsFaultsAndLeavesAWholeFile(t *testing.T) {
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			sweepFaults(t, put("/f", oldData), write, func(t testing.TB, c fsatomic.FS, acknowledged bool) {
				if acknowledged {
					wantOneOf(t, c, "/f", newData)
				} else {
					wantOneOf(t, c, "/f", oldData, newData)
				}
			})
		})
	}
}

func TestCreateReportsFaultsAndLeavesAWholeFile(t *testing.T) {
	for name, create := range creators {
		t.Run(name, func(t *testing.T) {
			sweepFaults(t, nil, create, func(t testing.TB, c fsatomic.FS, acknowledged bool) {
				if acknowledged {
					wantOneOf(t, c, "/f", newData)
				} else {
					wantOneOf(t, c, "/f", nil, newData)
				}
			})
			withoutLinks := func(c fsatomic.FS) error { return create(noLinks{c}) }
			crashfs.SweepFaults(t, faults, nil, withoutLinks, func(t testing.TB, c *crashfs.FS, _, result error) {
				if result == nil {
					wantOneOf(t, c.Reboot(crashfs.Lost, 0), "/f", newData)
				}
				wantOneOf(t, c, "/f", nil, newData)
			})
		})
	}
}

func TestFaultsLeaveNoTemporaryUnlessRemovingItFailed(t *testing.T) {
	for name, run := range map[string]func(fsatomic.FS) error{
		"CreateFile":     creators["CreateFile"],
		"CommitNew":      creators["CommitNew"],
		"WriteFile":      writers["WriteFile"],
		"ReplaceSymlink": func(c fsatomic.FS) error { return fsatomic.ReplaceSymlink(c, "b", "/f") },
	} {
		t.Run(name, func(t *testing.T) {
			crashfs.SweepFaults(t, faults, nil, run, func(t testing.TB, c *crashfs.FS, _, result error) {
				entries, err := c.ReadDir("/")
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					if fsatomic.Leftover(e.Name()) && (result == nil || !strings.Contains(result.Error(), "remove ")) {
						t.Errorf("left %s", e.Name())
					}
				}
			})
		})
	}
}

func TestMkdirAllTriedAgainAfterAFaultIsDurable(t *testing.T) {
	run := func(c fsatomic.FS) error { return fsatomic.MkdirAll(c, "/a/b/c", 0o700) }
	sweepFaults(t, nil, run, func(t testing.TB, c fsatomic.FS, acknowledged bool) {
		if _, err := c.Stat("/a/b/c"); acknowledged && err != nil {
			t.Error(err)
		}
	})
}

func TestRemoveTriedAgainAfterAFaultIsDurable(t *testing.T) {
	run := func(c fsatomic.FS) error { return fsatomic.RemoveDurable(c, "/f") }
	sweepFaults(t, put("/f", oldData), run, func(t testing.TB, c fsatomic.FS, acknowledged bool) {
		if acknowledged {
			wantOneOf(t, c, "/f", nil)
		}
	})
}

func TestReplaceSymlinkTriedAgainAfterAFaultIsDurable(t *testing.T) {
	run := func(c fsatomic.FS) error { return fsatomic.ReplaceSymlink(c, "b", "/current") }
	build := func(c *crashfs.FS) {
		if err := c.Symlink("a", "/current"); err != nil {
			t.Fatal(err)
		}
	}
	sweepFaults(t, build, run, func(t testing.TB, c fsatomic.FS, acknowledged bool) {
		target, err := c.Readlink("/current")
		if err != nil || target != "b" && (acknowledged || target != "a") {
			t.Errorf("links to %q, %v", target, err)
		}
	})
}

func TestRenameReportsFaults(t *testing.T) {
	run := func(c fsatomic.FS) error { return fsatomic.RenameDurable(c, "/f", "/g") }
	crashfs.SweepFaults(t, faults, put("/f", newData), run, func(t testing.TB, c *crashfs.FS, injected, result error) {
		if !errors.Is(result, injected) {
			t.Error("the cause is lost")
		}
		if _, err := c.Stat("/g"); err != nil {
			wantOneOf(t, c, "/f", newData)
		}
	})
}
