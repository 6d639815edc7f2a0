package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/blob/blobtest"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/manifest"
)

// rivalEnv makes the test binary begin an upload in the directory it names.
const rivalEnv = "BLOB_TEST_RIVAL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(rivalEnv); dir != "" {
		os.Exit(rival(dir))
	}
	os.Exit(m.Run())
}

func TestDirOnRealFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows refuses to remove what is open")
	}
	dirs := map[string]string{}
	blobtest.Run(t, func(t *testing.T) blobtest.Store {
		if dirs[t.Name()] == "" {
			dirs[t.Name()] = t.TempDir()
		}
		return open(t, fsatomic.OS(), dirs[t.Name()], blob.Config{Free: blob.DiskFree})
	})
}

func TestDirInMemory(t *testing.T) {
	systems := map[string]fsatomic.FS{}
	blobtest.Run(t, func(t *testing.T) blobtest.Store {
		if systems[t.Name()] == nil {
			systems[t.Name()] = crashfs.New()
		}
		return open(t, systems[t.Name()], "/blobs", blob.Config{})
	})
}

func open(t testing.TB, fsys fsatomic.FS, path string, cfg blob.Config) *blob.Dir {
	t.Helper()
	d, err := blob.Open(fsys, path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func put(d *blob.Dir, data []byte) error {
	_, err := d.Put(context.Background(), sha256.Sum256(data), int64(len(data)), bytes.NewReader(data))
	return err
}

func TestOpenHandsOutTheFileItself(t *testing.T) {
	d := open(t, fsatomic.OS(), t.TempDir(), blob.Config{})
	if err := put(d, []byte("firmware")); err != nil {
		t.Fatal(err)
	}
	f, _, err := d.Open(sha256.Sum256([]byte("firmware")))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := f.(*os.File); !ok {
		t.Errorf("%T: sendfile needs an *os.File", f)
	}
}

func TestWhatDoesNotFitIsRefusedBeforeItsFirstByte(t *testing.T) {
	free := int64(10_000)
	d := open(t, fsatomic.OS(), t.TempDir(), blob.Config{Reserve: 4000, Free: func(string) (int64, error) { return free, nil }})
	refused := func(size int64, why string) {
		t.Helper()
		if _, err := d.Put(t.Context(), manifest.Digest{1}, size, unread{t}); !errors.Is(err, blob.ErrFull) {
			t.Errorf("%s: put: %v", why, err)
		}
		if _, err := d.Upload(t.Context(), manifest.Digest{1}, size); !errors.Is(err, blob.ErrFull) {
			t.Errorf("%s: upload: %v", why, err)
		}
	}
	refused(6001, "into the reserve")
	if _, err := d.Upload(t.Context(), manifest.Digest{2}, 5000); err != nil {
		t.Fatal(err)
	}
	refused(1001, "beside an upload that is coming")
	if err := put(d, make([]byte, 1000)); err != nil {
		t.Error(err)
	}

	d = open(t, fsatomic.OS(), t.TempDir(), blob.Config{Quota: 3000})
	if err := put(d, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	if _, err := d.Upload(t.Context(), manifest.Digest{2}, 1500); err != nil {
		t.Fatal(err)
	}
	refused(501, "over the quota")
	if err := put(d, make([]byte, 500)); err != nil {
		t.Error(err)
	}
}

// Two that both saw the last free bytes would both get them.
func TestUploadsThatBeginAtOnceShareTheRoom(t *testing.T) {
	for range 20 {
		d := open(t, fsatomic.OS(), t.TempDir(), blob.Config{Quota: 1000})
		var begun atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				switch _, err := d.Upload(t.Context(), manifest.Digest{byte(i)}, 600); {
				case err == nil:
					begun.Add(1)
				case !errors.Is(err, blob.ErrFull):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := begun.Load(); n != 1 {
			t.Fatalf("%d uploads of 600 bytes were begun with a quota of 1000", n)
		}
	}
}

// Each costs a file, even if it is announced with one byte.
func TestOnlySoManyUploadsMayBeUnfinished(t *testing.T) {
	d := open(t, crashfs.New(), "/blobs", blob.Config{})
	for i := range 256 {
		if _, err := d.Upload(t.Context(), manifest.Digest{byte(i), 1}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Upload(t.Context(), manifest.Digest{0, 2}, 1); !errors.Is(err, blob.ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	if _, err := d.Upload(t.Context(), manifest.Digest{7, 1}, 1); err != nil {
		t.Errorf("one that is begun: %v", err)
	}
	if err := d.Abort(manifest.Digest{0, 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Upload(t.Context(), manifest.Digest{0, 2}, 1); err != nil {
		t.Errorf("after one was aborted: %v", err)
	}
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) { u.t.Error("a byte was read"); return 0, errors.New("read") }

func TestExpireDiscardsOnlyWhatWasAbandoned(t *testing.T) {
	path := t.TempDir()
	d := open(t, fsatomic.OS(), path, blob.Config{})
	if err := put(d, []byte("a blob")); err != nil {
		t.Fatal(err)
	}
	old, fresh := manifest.Digest{1}, manifest.Digest{2}
	for _, digest := range []manifest.Digest{old, fresh} {
		if _, err := d.Upload(t.Context(), digest, 100); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Append(t.Context(), digest, 0, strings.NewReader("half")); err != nil {
			t.Fatal(err)
		}
	}
	foreign := filepath.Join(path, "uploads", "README")
	pending, err := fsatomic.Create(fsatomic.OS(), filepath.Join(path, "sha256", "x"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Abort()
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-48 * time.Hour)
	for item, err := range d.Items() {
		if err != nil {
			t.Fatal(err)
		}
		if item.Digest != fresh {
			if err := os.Chtimes(item.Name, past, past); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Of this one, only the state is old: somebody is writing.
	if err := os.Chtimes(filepath.Join(path, "uploads", fresh.String()+".state"), past, past); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Expire(time.Now().Add(-24 * time.Hour)); err != nil || n != 2 {
		t.Errorf("removed %d, %v; want the upload and the temporary file", n, err)
	}
	left := map[blob.Kind]int{}
	for item, err := range d.Items() {
		if err != nil || item.Digest == old {
			t.Errorf("%+v, %v", item, err)
		}
		left[item.Kind]++
	}
	if left[blob.KindBlob] != 1 || left[blob.KindUpload] != 2 || left[blob.KindForeign] != 1 || left[blob.KindLeftover] != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestItemsTellOursFromForeign(t *testing.T) {
	path := t.TempDir()
	d := open(t, fsatomic.OS(), path, blob.Config{})
	if err := put(d, []byte("a blob")); err != nil {
		t.Fatal(err)
	}
	hex := strings.Repeat("ab", 32)
	for _, name := range []string{
		"x", "sha256/x", "sha256/" + hex[:63], "sha256/" + strings.ToUpper(hex), "sha256/" + hex + ".part",
		"uploads/" + hex, "uploads/" + hex + ".txt", hex,
		"other/x", "sha256/ab/x", // the directory counts, not what is in it
	} {
		name = filepath.Join(path, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	count := map[blob.Kind]int{}
	for item, err := range d.Items() {
		if err != nil {
			t.Fatal(err)
		}
		count[item.Kind]++
	}
	if count[blob.KindBlob] != 1 || count[blob.KindForeign] != 10 || len(count) != 2 {
		t.Errorf("%v", count)
	}
}

func rival(dir string) int {
	d, err := blob.Open(fsatomic.OS(), dir, blob.Config{})
	if err != nil {
		return 3
	}
	_, err = d.Upload(context.Background(), manifest.Digest{1}, 10)
	if errors.Is(err, blob.ErrBusy) {
		return 42
	}
	return 0
}

func TestOneProcessTakesUploads(t *testing.T) {
	path := t.TempDir()
	d := open(t, fsatomic.OS(), path, blob.Config{})
	ask := func() int {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), rivalEnv+"="+path)
		var exit *exec.ExitError
		if err := child.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return child.ProcessState.ExitCode()
	}
	if code := ask(); code != 0 {
		t.Errorf("alone: %d", code)
	}
	if _, err := d.Upload(t.Context(), manifest.Digest{2}, 10); err != nil {
		t.Fatal(err)
	}
	if code := ask(); code != 42 {
		t.Errorf("beside us: %d", code)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if code := ask(); code != 0 {
		t.Errorf("after us: %d", code)
	}
}

func TestAUsedUpQuotaOfTheSystemIsAFullDisk(t *testing.T) {
	c := crashfs.New()
	d := open(t, c, "/blobs", blob.Config{})
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		c.FailAt(c.Ops()+3, full)
		if err := put(d, []byte("firmware")); !errors.Is(err, blob.ErrFull) {
			t.Errorf("%v: %v", full, err)
		}
	}
}
