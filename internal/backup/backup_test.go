package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/backup"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
)

var operator = auth.Actor{Name: "local:test", Role: auth.Administrator}

// start returns a system and its data directory.
func start(t *testing.T) (*otatest.System, string) {
	t.Helper()
	dir := t.TempDir()
	return otatest.New(t, otatest.Options{Config: func(c *server.Config) { c.Dir = dir }}), dir
}

func plain() backup.Options {
	return backup.Options{Secrets: backup.SecretsPlain, Program: "test", Now: time.Unix(1_800_000_000, 0)}
}

// toDir makes a backup in a directory.
func toDir(t *testing.T, repo *repository.Repository, o backup.Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	to, err := backup.NewDir(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Create(t.Context(), repo, to, o); err != nil {
		t.Fatal(err)
	}
	return dir
}

// toTar makes a backup in memory.
func toTar(t *testing.T, repo *repository.Repository, o backup.Options) []byte {
	t.Helper()
	var stream bytes.Buffer
	to := backup.NewTar(&stream, o.Now)
	if _, err := backup.Create(t.Context(), repo, to, o); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

func restore(t *testing.T, from backup.Source) (string, backup.Restored, error) {
	dir := filepath.Join(t.TempDir(), "data")
	r, err := backup.Restore(context.WithoutCancel(t.Context()), from, dir, backup.RestoreOptions{By: operator})
	return dir, r, err
}

// serve starts a server on a restored data directory.
func serve(t *testing.T, dir string) *server.Server {
	t.Helper()
	s, err := server.New(t.Context(), server.Config{Dir: dir, TLSAddress: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.WithoutCancel(t.Context())) })
	return s
}

// While releases are published and devices report, every backup is of one
// moment: each release in it has its image, and the audit log is unbroken.
func TestABackupUnderLoadIsSound(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	device := s.Device("dev-1")
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			image := make([]byte, 1+rand.IntN(200_000))
			s.Publish(fmt.Sprintf("1.0.%d", n), append(image, fmt.Sprint(n)...))
		}
	})
	working.Go(func() {
		for nonce := uint64(1); ctx.Err() == nil; nonce++ {
			if _, err := s.Server.CheckForUpdates(t.Context(), checkOf(device, nonce)); err != nil && !rateLimited(err) {
				t.Error(err)
				return
			}
		}
	})
	var copies []backup.Source
	releases := 0
	for range 2 {
		copies = append(copies, backup.FromDir(toDir(t, s.Server.Repository(), plain())),
			backup.FromTar{Reader: bytes.NewReader(toTar(t, s.Server.Repository(), plain()))})
	}
	stop()
	working.Wait()
	for _, from := range copies {
		_, r, err := restore(t, from)
		if err != nil {
			t.Fatal(err)
		}
		if r.Report.Releases < releases || r.Report.Images != r.Report.Releases || len(r.Report.Leftovers) != 0 {
			t.Errorf("restored %+v after %d releases", r.Report, releases)
		}
		releases = r.Report.Releases
	}
	if releases == 0 {
		t.Error("nothing was published meanwhile")
	}
}

func TestWhatIsThereIsNotTouched(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	occupied := t.TempDir()
	if err := os.WriteFile(filepath.Join(occupied, "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.NewDir(occupied, false); !errors.Is(err, backup.ErrOccupied) {
		t.Errorf("backup: %v", err)
	}
	copied := toDir(t, s.Server.Repository(), plain())
	_, err := backup.Restore(t.Context(), backup.FromDir(copied), occupied, backup.RestoreOptions{By: operator})
	if entries, _ := os.ReadDir(occupied); !errors.Is(err, backup.ErrOccupied) || len(entries) != 1 {
		t.Errorf("restore: %v, %v", entries, err)
	}
	empty := t.TempDir()
	if _, err := backup.Restore(t.Context(), backup.FromDir(copied), empty, backup.RestoreOptions{By: operator}); err != nil {
		t.Errorf("into an empty directory: %v", err)
	}
}

func TestAFailedBackupLeavesNothing(t *testing.T) {
	t.Parallel()
	s, dir := start(t)
	release := s.Publish("1.0.0", []byte("image"))
	image := filepath.Join(dir, "blobs", "sha256", release.ImageDigest.String())
	if err := os.WriteFile(image, []byte("rotte"), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	to, err := backup.NewDir(copied, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Create(t.Context(), s.Server.Repository(), to, plain()); !errors.Is(err, repository.ErrDamaged) {
		t.Errorf("an image that has rotted: %v", err)
	}
	if err := to.Discard(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(copied); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is there: %v", err)
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if len(e.Name()) > 20 {
			t.Errorf("left in the data directory: %s, %v", e.Name(), err)
		}
	}
}

func TestABackupIsPrivate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has access lists instead of modes")
	}
	s, _ := start(t)
	s.Device("dev-1") // makes a fleet master
	s.Publish("1.0.0", []byte("image"))
	copied := toDir(t, s.Server.Repository(), plain())
	restored, _, err := restore(t, backup.FromDir(copied))
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{copied, restored} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %04o", path, info.Mode().Perm())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// A byte that changed on the way is found out, or did not matter.
func TestDamageIsFoundBeforeAnythingIsRestored(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	s.Device("dev-1")
	s.Publish("1.0.0", bytes.Repeat([]byte("image"), 1000))
	for name, o := range map[string]backup.Options{"plain": plain(), "encrypted": {
		Secrets: backup.SecretsEncrypted, Passphrase: []byte("correct horse"), Now: time.Unix(1_800_000_000, 0),
	}} {
		whole := toTar(t, s.Server.Repository(), o)
		try := func(raw []byte) (string, error) {
			dir := filepath.Join(t.TempDir(), "data")
			_, err := backup.Restore(t.Context(), backup.FromTar{Reader: bytes.NewReader(raw)}, dir, backup.RestoreOptions{
				By: operator, Passphrase: func() ([]byte, error) { return o.Passphrase, nil },
			})
			return dir, err
		}
		dir, err := try(whole)
		if err != nil {
			t.Fatal(err)
		}
		want := secretsOf(t, dir)
		tries := 8
		if name == "encrypted" {
			tries = 1 // scrypt takes its time
		}
		if os.Getenv("OTA_LONG") != "" {
			tries *= 30
		}
		for range tries {
			at := rand.IntN(len(whole))
			raw := bytes.Clone(whole)
			raw[at] ^= 1 << rand.IntN(8)
			dir, err := try(raw)
			_, stat := os.Stat(dir)
			switch {
			case err != nil && !errors.Is(stat, fs.ErrNotExist):
				t.Errorf("%s: byte %d: refused, and restored: %v", name, at, err)
			case err == nil && secretsOf(t, dir) != want: // fsck looked at all the rest
				t.Errorf("%s: byte %d: other secrets were restored", name, at)
			}
			cut := whole[:rand.IntN(len(whole)-1536)] // the end of a tar is 1,024 zeros, and maybe some more
			if _, err := try(cut); !errors.Is(err, backup.ErrIncomplete) {
				t.Errorf("%s: cut to %d of %d bytes: %v", name, len(cut), len(whole), err)
			}
		}
	}
}

func secretsOf(t *testing.T, dir string) (all string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "secrets", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += filepath.Base(name) + string(raw)
	}
	return all
}

// tarOf returns a tar with one file.
func tarOf(t testing.TB, header tar.Header, content string) []byte {
	var stream bytes.Buffer
	w := tar.NewWriter(&stream)
	header.Size = int64(len(content))
	if err := w.WriteHeader(&header); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

// hostileNames would be written somewhere else, or over something.
var hostileNames = []string{
	"../ota.db", "/etc/passwd", "secrets/../../x", "secrets/..", "secrets/.", "secrets/a/b", "blobs/sha256/../../ota.db", "blobs/sha256/ABC",
	"ota.db-wal", "blobs/uploads/x", "secrets/.hidden", `secrets\x`, "backup.json/x",
}

func TestAHostileTarWritesNothingElsewhere(t *testing.T) {
	t.Parallel()
	for _, name := range hostileNames {
		parent := t.TempDir()
		_, err := backup.Restore(t.Context(), backup.FromTar{Reader: bytes.NewReader(tarOf(t, tar.Header{Name: name, Typeflag: tar.TypeReg}, "x"))},
			filepath.Join(parent, "data"), backup.RestoreOptions{By: operator})
		if entries, _ := os.ReadDir(parent); !errors.Is(err, backup.ErrDamaged) || len(entries) != 0 {
			t.Errorf("%q: %v, left: %v", name, err, entries)
		}
	}
	for _, kind := range []byte{tar.TypeSymlink, tar.TypeLink, tar.TypeFifo, tar.TypeDir, tar.TypeChar} {
		header := tar.Header{Name: "ota.db", Typeflag: kind, Linkname: "/etc/passwd"}
		_, _, err := restore(t, backup.FromTar{Reader: bytes.NewReader(tarOf(t, header, ""))})
		if !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("of type %c: %v", kind, err)
		}
	}
}

func FuzzRestore(f *testing.F) {
	for _, name := range append(hostileNames, "ota.db", "backup.json", "secrets.tar.age", "secrets/audit.pem") {
		f.Add(tarOf(f, tar.Header{Name: name, Typeflag: tar.TypeReg}, `{"format":1}`))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		parent := t.TempDir()
		_, err := backup.Restore(t.Context(), backup.FromTar{Reader: bytes.NewReader(raw)}, filepath.Join(parent, "data"), backup.RestoreOptions{
			By: operator, Passphrase: func() ([]byte, error) { return []byte("x"), nil },
		})
		if entries, _ := os.ReadDir(parent); err != nil && len(entries) != 0 {
			t.Errorf("refused, and left %v: %v", entries, err)
		}
	})
}
