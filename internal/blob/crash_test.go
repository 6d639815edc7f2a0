package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
)

// firmware has no two sectors alike, and is no multiple of one.
var firmware = func() []byte {
	var data []byte
	for i := 0; len(data) < 9001; i++ {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		data = append(data, sum[:]...)
	}
	return data[:9001]
}()

// wholeOrAbsent fails if something else than the firmware stands under its
// digest, or nothing although it was acknowledged.
func wholeOrAbsent(t testing.TB, d *blob.Dir, acknowledged bool) {
	t.Helper()
	_, err := d.Verify(context.Background(), sha256.Sum256(firmware))
	if err != nil && (acknowledged || !errors.Is(err, blob.ErrNotFound)) {
		t.Errorf("acknowledged %t: %v", acknowledged, err)
	}
}

// build makes the directories, as a server's first start did.
func build(c *crashfs.FS) {
	if _, err := blob.Open(c, "/blobs", blob.Config{}); err != nil {
		panic(err)
	}
}

// A dir over a file system that may lose power at any moment.
func reopen(t testing.TB, fsys fsatomic.FS) *blob.Dir {
	t.Helper()
	d, err := blob.Open(fsys, "/blobs", often)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// often syncs an upload in the middle of each Append, and again at its end.
var often = blob.Config{SyncEvery: 1}

func TestPutSurvivesPowerCuts(t *testing.T) {
	run := func(fsys fsatomic.FS) error {
		d, err := blob.Open(fsys, "/blobs", often)
		if err != nil {
			return err
		}
		return put(d, firmware)
	}
	check := func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		d := reopen(t, c)
		wholeOrAbsent(t, d, acknowledged)
		if err := put(d, firmware); err != nil {
			t.Error("again: ", err)
		}
		wholeOrAbsent(t, d, true)
	}
	t.Run("first start", func(t *testing.T) { crashfs.Sweep(t, nil, run, check) })
	t.Run("later", func(t *testing.T) { crashfs.Sweep(t, build, run, check) })
	t.Run("again", func(t *testing.T) {
		stored := func(c *crashfs.FS) {
			if err := run(c); err != nil {
				panic(err)
			}
		}
		crashfs.Sweep(t, stored, run, func(t testing.TB, c *crashfs.FS, _ int, _ bool) {
			wholeOrAbsent(t, reopen(t, c), true)
		})
	})
}

// An uploader brings the firmware in three parts, and notes what was
// acknowledged.
type uploader struct {
	offset   int64
	finished bool
}

func (u *uploader) run(d *blob.Dir) error {
	ctx, digest, size := context.Background(), sha256.Sum256(firmware), int64(len(firmware))
	state, err := d.Upload(ctx, digest, size)
	if err != nil {
		return err
	}
	if state.Offset < u.offset {
		return errors.New("acknowledged bytes are gone")
	}
	for at := state.Offset; at < size; {
		end, err := d.Append(ctx, digest, at, bytes.NewReader(firmware[at:min(at+3001, size)]))
		at, u.offset = end, max(end, u.offset)
		if err != nil {
			return err
		}
	}
	_, err = d.Finish(ctx, digest)
	u.finished = err == nil
	return err
}

func TestUploadSurvivesPowerCuts(t *testing.T) {
	var u uploader
	run := func(fsys fsatomic.FS) error {
		u = uploader{}
		d, err := blob.Open(fsys, "/blobs", often)
		if err != nil {
			return err
		}
		return u.run(d)
	}
	crashfs.Sweep(t, build, run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
		d := reopen(t, c)
		wholeOrAbsent(t, d, acknowledged)
		again := uploader{offset: u.offset}
		if err := again.run(d); err != nil {
			t.Error("going on after byte ", u.offset, ": ", err)
		}
		wholeOrAbsent(t, d, true)
		for item, err := range d.Items() {
			if err != nil || item.Kind == blob.KindUpload {
				t.Errorf("left behind: %+v, %v", item, err)
			}
		}
	})
}

func TestPutSurvivesFailedOperations(t *testing.T) {
	run := func(fsys fsatomic.FS) error {
		d, err := blob.Open(fsys, "/blobs", often)
		if err != nil {
			return err
		}
		return put(d, firmware)
	}
	failing(t, run, func(t testing.TB, c *crashfs.FS, result error) {
		wholeOrAbsent(t, reopen(t, c), result == nil)
		if err := run(c); err != nil {
			t.Error("again: ", err)
		}
		for _, mode := range crashfs.Modes() {
			wholeOrAbsent(t, reopen(t, c.Reboot(mode, 1)), true)
		}
	})
}

func TestUploadSurvivesFailedOperations(t *testing.T) {
	var d *blob.Dir
	var u uploader
	run := func(fsys fsatomic.FS) (err error) {
		u = uploader{}
		if d, err = blob.Open(fsys, "/blobs", often); err != nil {
			return err
		}
		return u.run(d)
	}
	failing(t, run, func(t testing.TB, c *crashfs.FS, result error) {
		wholeOrAbsent(t, reopen(t, c), result == nil)
		for _, mode := range crashfs.Modes() { // the power fails then, too
			after, again := reopen(t, c.Reboot(mode, 1)), uploader{offset: u.offset}
			if err := again.run(after); err != nil {
				t.Error(mode, ", going on after byte ", u.offset, ": ", err)
			}
			wholeOrAbsent(t, after, true)
		}
		if d == nil {
			d = reopen(t, c)
		}
		if err := u.run(d); err != nil { // or the process lives on
			t.Error("again: ", err)
		}
		for _, mode := range crashfs.Modes() {
			wholeOrAbsent(t, reopen(t, c.Reboot(mode, 1)), true)
		}
	})
}

// failing fails each operation of run once.
func failing(t *testing.T, run func(fsatomic.FS) error, check func(t testing.TB, c *crashfs.FS, result error)) {
	t.Helper()
	crashfs.SweepFaults(t, []error{syscall.EIO, syscall.ENOSPC}, build, run, func(t testing.TB, c *crashfs.FS, injected, result error) {
		if result != nil && !errors.Is(result, injected) {
			t.Errorf("the cause is hidden: %v", result)
		}
		check(t, c, result)
	})
}
