package fsatomic_test

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
)

// content is recognisable in every sector and of a length that is no multiple of one.
func content(fill byte, size int) []byte { return bytes.Repeat([]byte{fill}, size) }

var (
	oldData = content('o', 1700)
	newData = content('n', 2900)
)

// put makes a file for a test to start from.
func put(name string, data []byte) func(*crashfs.FS) {
	return func(c *crashfs.FS) {
		if err := fsatomic.WriteFile(c, name, data, 0o600); err != nil {
			panic(err)
		}
	}
}

// wantOneOf fails if name has none of the contents; nil means that it is absent.
func wantOneOf(t testing.TB, c fsatomic.FS, name string, contents ...[]byte) {
	t.Helper()
	got, err := c.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read %s: %v", name, err)
		return
	}
	for _, want := range contents {
		if (want == nil) == (err != nil) && bytes.Equal(got, want) {
			return
		}
	}
	t.Errorf("%s holds %d bytes (%.8q...), error %v: neither old nor new", name, len(got), got, err)
}

// wantNames fails if dir holds anything but the names and leftovers.
func wantNames(t testing.TB, c fsatomic.FS, dir string, names ...string) {
	t.Helper()
	entries, err := c.ReadDir(dir)
	if err != nil {
		t.Errorf("list %s: %v", dir, err)
	}
	for _, e := range entries {
		if !fsatomic.Leftover(e.Name()) && !slices.Contains(names, e.Name()) {
			t.Errorf("%s holds a stray %s", dir, e.Name())
		}
	}
}

// writers are the ways to write newData to /f, in place of what was there.
var writers = map[string]func(fsatomic.FS) error{
	"WriteFile": func(c fsatomic.FS) error { return fsatomic.WriteFile(c, "/f", newData, 0o600) },
	"Commit":    func(c fsatomic.FS) error { return stream(c, (*fsatomic.Pending).Commit) },
}

// creators are the ways to write newData to /f if there is nothing.
var creators = map[string]func(fsatomic.FS) error{
	"CreateFile": func(c fsatomic.FS) error { return fsatomic.CreateFile(c, "/f", newData, 0o600) },
	"CommitNew":  func(c fsatomic.FS) error { return stream(c, (*fsatomic.Pending).CommitNew) },
}

func stream(c fsatomic.FS, commit func(*fsatomic.Pending) error) error {
	p, err := fsatomic.Create(c, "/f", 0o600)
	if err != nil {
		return err
	}
	defer p.Abort()
	for part := range slices.Chunk(newData, 700) {
		if _, err := p.Write(part); err != nil {
			return err
		}
	}
	return commit(p)
}

// atomic checks that /f is whole, and new once that was acknowledged.
func atomic(before []byte) func(testing.TB, *crashfs.FS, int, bool) {
	return func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		if acknowledged {
			wantOneOf(t, c, "/f", newData)
		} else {
			wantOneOf(t, c, "/f", before, newData)
		}
		wantNames(t, c, "/", "f")
	}
}

func TestWriteSurvivesPowerCuts(t *testing.T) {
	for name, write := range writers {
		t.Run(name+" of a new file", func(t *testing.T) { crashfs.Sweep(t, nil, write, atomic(nil)) })
		t.Run(name+" over a file", func(t *testing.T) { crashfs.Sweep(t, put("/f", oldData), write, atomic(oldData)) })
		t.Run(name+" over a link", func(t *testing.T) {
			build := func(c *crashfs.FS) {
				put("/target", oldData)(c)
				if err := c.Symlink("target", "/f"); err != nil {
					t.Fatal(err)
				}
			}
			crashfs.Sweep(t, build, write, func(t testing.TB, c *crashfs.FS, _ int, _ bool) {
				wantOneOf(t, c, "/target", oldData)
				wantOneOf(t, c, "/f", oldData, newData)
			})
		})
	}
}

func TestCreateSurvivesPowerCuts(t *testing.T) {
	for name, create := range creators {
		t.Run(name, func(t *testing.T) { crashfs.Sweep(t, nil, create, atomic(nil)) })
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	for name, create := range creators {
		t.Run(name, func(t *testing.T) {
			run := func(c fsatomic.FS) error {
				err := create(c)
				if !errors.Is(err, fs.ErrExist) && !errors.Is(err, crashfs.ErrCrash) {
					t.Errorf("error %v, want fs.ErrExist", err)
				}
				return err
			}
			crashfs.Sweep(t, put("/f", oldData), run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
				wantOneOf(t, c, "/f", oldData)
				wantNames(t, c, "/", "f")
				if acknowledged {
					t.Error("success was reported")
				}
			})
		})
	}
}

// Callers that treat fs.ErrExist as success, for content-addressed files, rely on this.
func TestExistingFileIsDurableOnceReported(t *testing.T) {
	run := func(c fsatomic.FS) error {
		// Another writer has linked its file and has not synced the directory yet.
		other, err := c.OpenFile("/f", flagNew, 0o600)
		if err != nil {
			return err
		}
		if _, err := other.Write(newData); err != nil {
			return err
		}
		if err := other.Sync(); err != nil {
			return err
		}
		if err := fsatomic.CreateFile(c, "/f", newData, 0o600); !errors.Is(err, fs.ErrExist) {
			return errors.Join(err, errors.New("not reported as existing"))
		}
		return nil
	}
	crashfs.Sweep(t, nil, run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		if acknowledged {
			wantOneOf(t, c, "/f", newData)
		}
	})
}

func TestCreateWithoutHardLinksIsWholeOrEmpty(t *testing.T) {
	run := func(c fsatomic.FS) error { return creators["CreateFile"](noLinks{c}) }
	crashfs.Sweep(t, nil, run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		if acknowledged {
			wantOneOf(t, c, "/f", newData)
		} else {
			wantOneOf(t, c, "/f", nil, []byte{}, newData)
		}
		wantNames(t, c, "/", "f")
	})
	crashfs.Sweep(t, put("/f", oldData), run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		wantOneOf(t, c, "/f", oldData)
		if acknowledged {
			t.Error("success was reported")
		}
	})
}

func TestMkdirAllSurvivesPowerCuts(t *testing.T) {
	run := func(c fsatomic.FS) error {
		if err := fsatomic.MkdirAll(c, "/a/b/c", 0o700); err != nil {
			return err
		}
		return fsatomic.WriteFile(c, "/a/b/c/f", newData, 0o600)
	}
	crashfs.Sweep(t, nil, run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		if acknowledged {
			wantOneOf(t, c, "/a/b/c/f", newData)
		}
		wantNames(t, c, "/", "a")
	})
}

// A directory that someone else made and did not sync is synced, too.
func TestMkdirAllSyncsWhatItFinds(t *testing.T) {
	run := func(c fsatomic.FS) error {
		if err := c.Mkdir("/a", 0o700); err != nil {
			return err
		}
		return fsatomic.MkdirAll(c, "/a/b", 0o700)
	}
	crashfs.Sweep(t, nil, run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		if _, err := c.Stat("/a/b"); acknowledged && err != nil {
			t.Error(err)
		}
	})
}

func TestRemoveSurvivesPowerCuts(t *testing.T) {
	run := func(c fsatomic.FS) error { return fsatomic.RemoveDurable(c, "/f") }
	crashfs.Sweep(t, put("/f", oldData), run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		if acknowledged {
			wantOneOf(t, c, "/f", nil)
		} else {
			wantOneOf(t, c, "/f", nil, oldData)
		}
	})
}

func TestRenameSurvivesPowerCuts(t *testing.T) {
	build := func(c *crashfs.FS) {
		put("/f", newData)(c)
		for _, dir := range []string{"/same", "/other"} {
			if err := c.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		put("/other/g", oldData)(c)
	}
	for _, to := range []string{"/g", "/other/g"} {
		t.Run(to, func(t *testing.T) {
			run := func(c fsatomic.FS) error { return fsatomic.RenameDurable(c, "/f", to) }
			crashfs.Sweep(t, build, run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
				if acknowledged {
					wantOneOf(t, c, to, newData)
					wantOneOf(t, c, "/f", nil)
					return
				}
				wantOneOf(t, c, to, newData, oldData, nil)
				if data, err := c.ReadFile(to); err != nil || !bytes.Equal(data, newData) {
					wantOneOf(t, c, "/f", newData)
				}
			})
		})
	}
}

func TestReplaceSymlinkSurvivesPowerCuts(t *testing.T) {
	run := func(c fsatomic.FS) error { return fsatomic.ReplaceSymlink(c, "b", "/current") }
	check := func(before string) func(testing.TB, *crashfs.FS, int, bool) {
		return func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
			target, err := c.Readlink("/current")
			if err != nil && (!errors.Is(err, fs.ErrNotExist) || before != "") {
				t.Error(err)
			}
			if target != "b" && (acknowledged || target != before) {
				t.Errorf("links to %q", target)
			}
			wantNames(t, c, "/", "current")
		}
	}
	t.Run("new", func(t *testing.T) { crashfs.Sweep(t, nil, run, check("")) })
	t.Run("replaced", func(t *testing.T) {
		build := func(c *crashfs.FS) {
			if err := c.Symlink("a", "/current"); err != nil {
				t.Fatal(err)
			}
		}
		crashfs.Sweep(t, build, run, check("a"))
	})
}
