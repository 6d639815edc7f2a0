package fsatomic_test

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
)

// rival is another process that creates /f just before the n-th call, unless it exists.
type rival struct {
	fsatomic.FS
	calls, n int
	won      bool
}

func (r *rival) step() {
	r.calls++
	if r.calls == r.n {
		r.won = fsatomic.CreateFile(r.FS, "/f", oldData, 0o600) == nil
	}
}

func (r *rival) OpenFile(name string, flag int, perm fs.FileMode) (fsatomic.File, error) {
	r.step()
	return r.FS.OpenFile(name, flag, perm)
}
func (r *rival) Stat(name string) (fs.FileInfo, error) { r.step(); return r.FS.Stat(name) }
func (r *rival) Link(oldname, newname string) error    { r.step(); return r.FS.Link(oldname, newname) }
func (r *rival) Rename(oldname, newname string) error  { r.step(); return r.FS.Rename(oldname, newname) }
func (r *rival) Remove(name string) error              { r.step(); return r.FS.Remove(name) }
func (r *rival) SyncDir(name string) error             { r.step(); return r.FS.SyncDir(name) }

// race runs create with a rival at each call, and returns the first call at which both won or data was lost.
func race(create func(fsatomic.FS) error) (lostAt int, calls int) {
	for n := 1; ; n++ {
		r := &rival{FS: crashfs.New(), n: n}
		err := create(r)
		if r.calls < n {
			return 0, r.calls
		}
		want := newData
		if r.won {
			want = oldData
		}
		got, readErr := r.FS.ReadFile("/f")
		if readErr != nil || string(got) != string(want) || r.won != errors.Is(err, fs.ErrExist) {
			return n, r.calls
		}
	}
}

func TestCreateRacesWithARivalAtEveryCall(t *testing.T) {
	for name, create := range creators {
		if lostAt, calls := race(create); lostAt != 0 || calls < 4 {
			t.Errorf("%s: a rival before call %d of %d lost its file or was not reported", name, lostAt, calls)
		}
	}
	careless := func(c fsatomic.FS) error {
		if _, err := c.Stat("/f"); err == nil {
			return fs.ErrExist
		}
		return writers["WriteFile"](c)
	}
	if lostAt, _ := race(careless); lostAt == 0 {
		t.Error("the race of looking and then writing was not found")
	}
}

func TestOneOfManyCreatorsWins(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]fsatomic.FS{dir + "/f": fsatomic.OS(), "/f": crashfs.New()} {
		winners := make(chan string, 16)
		var wg sync.WaitGroup
		for i := range cap(winners) {
			wg.Go(func() {
				mine := fmt.Sprint("creator ", i)
				switch err := fsatomic.CreateFile(c, name, []byte(mine), 0o600); {
				case err == nil:
					winners <- mine
				case !errors.Is(err, fs.ErrExist):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(winners)
		var won []string
		for w := range winners {
			won = append(won, w)
		}
		got, err := c.ReadFile(name)
		if err != nil || len(won) != 1 || string(got) != won[0] {
			t.Errorf("%q won, the file holds %q, %v", won, got, err)
		}
	}
}
