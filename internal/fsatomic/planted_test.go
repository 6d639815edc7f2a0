package fsatomic_test

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
)

const flagNew = os.O_WRONLY | os.O_CREATE | os.O_EXCL

// noLinks is a file system without hard links.
type noLinks struct{ fsatomic.FS }

func (noLinks) Link(_, newname string) error {
	return &os.LinkError{Op: "link", New: newname, Err: syscall.EPERM}
}

// noFileSync and noDirSync leave out what careless code forgets.
type noFileSync struct{ fsatomic.FS }

func (f noFileSync) OpenFile(name string, flag int, perm fs.FileMode) (fsatomic.File, error) {
	file, err := f.FS.OpenFile(name, flag, perm)
	return unsynced{file}, err
}

type unsynced struct{ fsatomic.File }

func (unsynced) Sync() error { return nil }

type noDirSync struct{ fsatomic.FS }

func (noDirSync) SyncDir(string) error { return nil }

func overwriteInPlace(c fsatomic.FS) error {
	file, err := c.OpenFile("/f", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(newData); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return c.SyncDir("/")
}

func removeThenRename(c fsatomic.FS) error {
	if err := fsatomic.WriteFile(c, "/g", newData, 0o600); err != nil {
		return err
	}
	if err := c.Remove("/f"); err != nil {
		return err
	}
	return fsatomic.RenameDurable(c, "/g", "/f")
}

// recorder counts the failures of a sweep that is meant to fail.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Error(args ...any) { r.failures = append(r.failures, args[0].(string)) }

// A test that can not fail is worthless: each known mistake must be found, as what it is.
func TestSweepFindsPlantedFaults(t *testing.T) {
	for name, plant := range map[string]struct {
		run  func(fsatomic.FS) error
		find string
	}{
		"no fsync of the file":      {func(c fsatomic.FS) error { return writers["WriteFile"](noFileSync{c}) }, "neither old nor new"},
		"no fsync of the directory": {func(c fsatomic.FS) error { return writers["WriteFile"](noDirSync{c}) }, "run returned <nil>"},
		"overwritten in place":      {overwriteInPlace, "neither old nor new"},
		"removed, then renamed":     {removeThenRename, "holds 0 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			crashfs.Sweep(r, put("/f", oldData), plant.run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
				if acknowledged {
					wantOneOf(t, c, "/f", newData)
				} else {
					wantOneOf(t, c, "/f", oldData, newData)
				}
			})
			if !strings.Contains(strings.Join(r.failures, "\n"), plant.find) {
				t.Errorf("%d failures found, none with %q: %q", len(r.failures), plant.find, r.failures)
			}
		})
	}
}
