package repository

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/trust"
)

// on returns the repository with its images on another file system.
func on(t testing.TB, r *Repository, fsys fsatomic.FS) *Repository {
	t.Helper()
	images, err := blob.Open(fsys, "/blobs", blob.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &Repository{dir: r.dir, now: r.now, db: r.db, blobs: images}
}

// unpublish makes the repository as it was before its first release.
func unpublish(t testing.TB, r *Repository) {
	t.Helper()
	err := r.db.ChangeUnaudited(ctx(), func(tx *store.Tx) error {
		for _, statement := range []string{`DELETE FROM releases`, `DELETE FROM blobs`, `DELETE FROM audit_records WHERE seq > 1`} {
			if _, err := tx.Exec(statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// publishers are the two ways of an image into the repository.
var publishers = map[string]func(*Repository, trust.Bundle, []byte) error{
	"in one stream": func(r *Repository, b trust.Bundle, image []byte) error {
		_, err := r.AddFirmware(ctx(), alice, b, bytes.NewReader(image))
		return err
	},
	"by upload": func(r *Repository, b trust.Bundle, image []byte) error {
		m, err := r.CheckRelease(ctx(), b)
		if err != nil {
			return err
		}
		state, err := r.BeginUpload(ctx(), m.ImageDigest, int64(m.ImageSize))
		if err != nil {
			return err
		}
		for at := state.Offset; at < state.Size; {
			part := io.NewSectionReader(bytes.NewReader(image), at, 700)
			if at, err = r.ContinueUpload(ctx(), m.ImageDigest, at, part); err != nil {
				return err
			}
		}
		if err := r.FinishUpload(ctx(), m.ImageDigest); err != nil {
			return err
		}
		_, err = r.AddRelease(ctx(), alice, b)
		return err
	},
}

// A row must never exist without an image that survives: the power fails in
// every operation on the images in turn, and the database lives on.
func TestPublishSurvivesPowerCuts(t *testing.T) {
	v := newVendor("sensor_v1")
	b, image := v.release(draft{number: 1, version: "1.0.0"})
	for name, publish := range publishers {
		t.Run(name, func(t *testing.T) {
			r := started(t, v)
			run := func(fsys fsatomic.FS) error {
				unpublish(t, r)
				images, err := blob.Open(fsys, "/blobs", blob.Config{})
				if err != nil {
					return err
				}
				return publish(&Repository{dir: r.dir, now: r.now, db: r.db, blobs: images}, b, image)
			}
			build := func(c *crashfs.FS) { on(t, &Repository{}, c) }
			crashfs.Sweep(t, build, run, func(t testing.TB, c *crashfs.FS, _ int, acknowledged bool) {
				found, err := r.Versions(ctx(), v.deviceType)
				if err != nil || acknowledged != (len(found) == 1) {
					t.Errorf("acknowledged %t: %d releases, %v", acknowledged, len(found), err)
				}
				for _, release := range found {
					if _, err := on(t, r, c).blobs.Verify(ctx(), release.Image.SHA256); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// Every operation on the images fails once, and then the same process goes on.
func TestPublishSurvivesFailedOperations(t *testing.T) {
	v := newVendor("sensor_v1")
	b, image := v.release(draft{number: 1, version: "1.0.0"})
	for name, publish := range publishers {
		t.Run(name, func(t *testing.T) {
			r := started(t, v)
			run := func(fsys fsatomic.FS) error {
				images, err := blob.Open(fsys, "/blobs", blob.Config{})
				if err != nil {
					return err
				}
				return publish(&Repository{dir: r.dir, now: r.now, db: r.db, blobs: images}, b, image)
			}
			build := func(*crashfs.FS) { unpublish(t, r) }
			crashfs.SweepFaults(t, []error{syscall.EIO, syscall.ENOSPC}, build, run, func(t testing.TB, c *crashfs.FS, injected, result error) {
				if result != nil && !errors.Is(result, injected) {
					t.Errorf("the cause is hidden: %v", result)
				}
				report := wantSound(t, on(t, r, c))
				if (result == nil) != (report.Releases == 1) {
					t.Errorf("%d releases after %v", report.Releases, result)
				}
				if err := publish(on(t, r, c), b, image); err != nil {
					t.Error("again: ", err)
				}
				after := on(t, r, c.Reboot(crashfs.Lost, 0))
				if report := wantSound(t, after); report.Images != 1 {
					t.Errorf("%+v", report)
				}
			})
		})
	}
}

// Every statement of a publication fails in turn: quietly undone by SQLite
// (ABORT), half done (FAIL), or with the whole transaction lost, as on a full
// disk (ROLLBACK).
func TestPublishSurvivesFailedStatements(t *testing.T) {
	place.OnFiles(t)
	v := newVendor("sensor_v1")
	for _, table := range []string{"blobs", "releases", "revisions", "audit_records"} {
		for _, how := range []string{"ABORT", "FAIL", "ROLLBACK"} {
			t.Run(table+" "+how, func(t *testing.T) {
				r := started(t, v)
				behind(t, r, fmt.Sprintf(`CREATE TRIGGER broken_insert BEFORE INSERT ON %s BEGIN SELECT RAISE(%s, 'broken'); END`, table, how))
				b, image := v.release(draft{number: 1, version: "1.0.0"})
				if _, err := r.AddFirmware(ctx(), alice, b, bytes.NewReader(image)); err == nil {
					t.Fatal("published")
				}
				wantReleases(t, r, "sensor_v1")
				behind(t, r, `DROP TRIGGER broken_insert`)
				if report := wantSound(t, r); len(report.Leftovers) != 1 || report.AuditRecords != 1 {
					t.Errorf("%+v", report)
				}
				publish(t, r, v, draft{number: 1, version: "1.0.0"})
				if report := wantSound(t, r); len(report.Leftovers) != 0 {
					t.Errorf("%+v", report)
				}
			})
		}
	}
}

// What a power cut leaves of the database's log is some beginning of it,
// perhaps with a torn end. Each must be a sound repository of the first few
// releases, for the images are always there before.
func TestEveryBeginningOfTheLogIsSound(t *testing.T) {
	place.OnFiles(t)
	v := newVendor("sensor_v1")
	r := started(t, v)
	const releases = 12
	for n := range releases {
		publish(t, r, v, draft{number: uint32(n + 1), version: fmt.Sprintf("1.%d.0", n)})
	}
	log, err := os.ReadFile(filepath.Join(r.Dir(), DatabaseName+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.ReadFile(filepath.Join(r.Dir(), DatabaseName))
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.Symlink(filepath.Join(r.Dir(), BlobsName), filepath.Join(copied, BlobsName)); err != nil {
		t.Skip("no symbolic links here")
	}
	seen := map[int]bool{}
	random := rand.New(rand.NewPCG(1, 2))
	for range rounds(40) {
		cut := len(log)/10 + random.IntN(len(log)-len(log)/10+1) // behind the schema
		writeFile(t, filepath.Join(copied, DatabaseName), base)
		writeFile(t, filepath.Join(copied, DatabaseName+"-wal"), append(bytes.Clone(log[:cut]), make([]byte, random.IntN(5000))...))
		os.Remove(filepath.Join(copied, DatabaseName+"-shm"))
		after, err := Open(ctx(), Config{Dir: copied})
		if err != nil {
			t.Fatalf("cut at %d of %d: %v", cut, len(log), err)
		}
		report := wantSound(t, after)
		seen[report.Releases] = true
		if err := after.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(seen) < 4 {
		t.Errorf("only these numbers of releases were found: %v", seen)
	}
}

// rounds returns how often to repeat: more with OTA_LONG=1.
func rounds(short int) int {
	if os.Getenv("OTA_LONG") == "1" {
		return 20 * short
	}
	return short
}
