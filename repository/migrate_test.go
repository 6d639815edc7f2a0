//go:build unix

package repository

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
	"github.com/secure-ota/secure-ota/internal/testenv/s3"
	"github.com/secure-ota/secure-ota/manifest"
)

// filesOf returns the content of every file of a data directory but those that
// belong to SQLite's processes.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) == ".db-shm" || d.Name() == "lock" {
			return err
		}
		raw, err := os.ReadFile(name)
		files[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEverythingMovesToPostgreSQLAndS3AndBack(t *testing.T) {
	place.OnFiles(t)
	ctx, v := t.Context(), newVendor("sensor_v1")
	first := t.TempDir()
	r, err := Open(ctx, Config{Dir: first})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddKeyset(ctx, alice, v.keyset(1)); err != nil {
		t.Fatal(err)
	}
	var versions []string
	for n := range 12 {
		publish(t, r, v, draft{number: uint32(n + 1), version: fmt.Sprintf("1.%d.0", n), document: &manifest.Document{Notes: fmt.Sprint("notes ", n)}})
		versions = append([]string{fmt.Sprintf("1.%d.0", n)}, versions...)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, first)

	shared := Config{Dir: t.TempDir(), Database: postgres.Database(t), Blobs: s3.Bucket(t)}
	m := Migration{From: Config{Dir: first}, To: shared, Actor: alice}
	for stop := 1; ; stop += 3 { // broken off again and again
		broken, cancel := context.WithCancel(ctx)
		steps := 0
		m.Progress = func(string, int64, int64) {
			if steps++; steps == stop {
				cancel()
			}
		}
		_, err := Migrate(broken, m)
		cancel()
		if err == nil {
			break
		}
		if _, err := Open(ctx, shared); !errors.Is(err, ErrIncomplete) && stop > 1 {
			t.Fatalf("half a migration was opened: %v", err)
		}
		if stop > 100 {
			t.Fatal(err)
		}
	}
	for name, content := range filesOf(t, first) {
		if before[name] != content {
			t.Errorf("the source was touched: %s", name)
		}
	}
	m.Progress = nil
	if _, err := Migrate(ctx, m); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("into a repository in use: %v", err)
	}
	r, err = Open(ctx, shared)
	if err != nil {
		t.Fatal(err)
	}
	wantReleases(t, r, "sensor_v1", versions...)
	publish(t, r, v, draft{number: 13, version: "2.0.0"})
	if report := wantSound(t, r); report.AuditRecords != 15 || report.Images != 13 {
		t.Errorf("%+v", report)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	back := Config{Dir: t.TempDir()}
	report, err := Migrate(ctx, Migration{From: shared, To: back, Actor: alice})
	if err != nil || report.Releases != 13 {
		t.Fatalf("%+v, %v", report, err)
	}
	r, err = Open(ctx, back)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantReleases(t, r, "sensor_v1", append([]string{"2.0.0"}, versions...)...)
	publish(t, r, v, draft{number: 14, version: "2.1.0"})
	if report := wantSound(t, r); report.AuditRecords != 17 {
		t.Errorf("%+v", report)
	}
}

func TestAnImageThatRottedIsNotMoved(t *testing.T) {
	place.OnFiles(t)
	v := newVendor("sensor_v1")
	r := started(t, v)
	release := publish(t, r, v, draft{number: 1, version: "1.0.0"})
	writeFile(t, filepath.Join(r.Dir(), BlobsName, "sha256", release.Image.SHA256.String()), make([]byte, release.Image.Size))
	shared := Config{Dir: t.TempDir(), Database: postgres.Database(t), Blobs: s3.Bucket(t)}
	if _, err := Migrate(t.Context(), Migration{From: Config{Dir: r.Dir()}, To: shared, Actor: alice}); err == nil {
		t.Error("moved")
	}
	if _, err := Open(t.Context(), shared); !errors.Is(err, ErrIncomplete) {
		t.Errorf("opened: %v", err)
	}
}
