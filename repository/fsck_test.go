package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
)

func ctx() context.Context { return context.Background() }

// behind changes the database behind the repository's back, as somebody with
// the file could.
func behind(t testing.TB, r *Repository, statements string) {
	t.Helper()
	place.OnFiles(t)
	db, err := sql.Open("sqlite", filepath.Join(r.Dir(), DatabaseName)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

func TestFsckFindsEveryKindOfDamage(t *testing.T) {
	place.OnFiles(t)
	v := newVendor("sensor_v1")
	doc := &manifest.Document{Notes: "notes"}
	blobOf := func(r *Repository, version string) string {
		hex := fmt.Sprintf("%x", sha256.Sum256(firmwareOf(version)))
		return filepath.Join(r.Dir(), BlobsName, "sha256", hex)
	}
	statement := func(s string) func(*testing.T, *Repository) {
		return func(t *testing.T, r *Repository) { behind(t, r, s) }
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, *Repository)
		object string // how the finding that names it begins
	}{
		"image changed": {func(t *testing.T, r *Repository) {
			image := firmwareOf("1.0.0")
			image[17] ^= 1
			writeFile(t, blobOf(r, "1.0.0"), image)
		}, "image "},
		"image cut":     {func(t *testing.T, r *Repository) { writeFile(t, blobOf(r, "1.0.0"), firmwareOf("1.0.0")[:99]) }, "image "},
		"image gone":    {func(t *testing.T, r *Repository) { removeFile(t, blobOf(r, "1.0.0")) }, "image "},
		"half an image": {func(t *testing.T, r *Repository) { writeFile(t, blobOf(r, "9"), []byte("half")) }, "image "},
		"MD5":           {statement(`UPDATE blobs SET md5 = zeroblob(16)`), "image "},

		"version column":   {statement(`UPDATE releases SET version = '3.0.0' WHERE release_number = 1`), "release "},
		"sequence column":  {statement(`UPDATE releases SET release_number = 99 WHERE release_number = 1`), "release "},
		"counter column":   {statement(`UPDATE releases SET security_counter = 7 WHERE release_number = 1`), "release "},
		"component column": {statement(`UPDATE releases SET component = 'x' WHERE release_number = 1`), "release "},
		"image column": {statement(`PRAGMA foreign_keys = 0; UPDATE releases SET image_digest = (SELECT image_digest FROM releases WHERE release_number = 2)
			WHERE release_number = 1`), "release "},
		"document column":   {statement(`UPDATE releases SET document_digest = NULL`), "release "},
		"hash column":       {statement(`UPDATE releases SET manifest_hash = zeroblob(32) WHERE release_number = 1`), "release "},
		"identity column":   {statement(`UPDATE releases SET identity = zeroblob(32) WHERE release_number = 1`), "release "},
		"manifest":          {statement(`UPDATE releases SET manifest = substr(manifest, 1, 100) || x'00' || substr(manifest, 102) WHERE release_number = 1`), "release "},
		"another manifest":  {statement(`UPDATE releases SET manifest = (SELECT manifest FROM releases WHERE release_number = 2) WHERE release_number = 1`), "release "},
		"no audit record":   {statement(`DELETE FROM audit_records WHERE seq = 2`), "release "},
		"withdrawn quietly": {statement(`UPDATE releases SET withdrawn_ms = 1 WHERE release_number = 1`), "release "},

		"document":       {statement(`UPDATE documents SET content = x'7b7d'`), "release document "},
		"key":            {statement(`UPDATE public_keys SET cose_key = x'a0'`), "public key "},
		"swapped keys":   {statement(`UPDATE public_keys SET cose_key = (SELECT cose_key FROM public_keys ORDER BY id LIMIT 1)`), "public key "},
		"keyset":         {statement(`UPDATE keysets SET object = x'00'`), "keysets of "},
		"planted keyset": {plantKeyset(v), "keyset sensor_v1 version 2"},
		"renamed type":   {statement(`PRAGMA foreign_keys = 0; UPDATE keysets SET device_type = 'gateway'`), "keyset gateway "},
		"dangling row":   {statement(`PRAGMA foreign_keys = 0; DELETE FROM blobs`), "database"},

		"audit record":  {statement(`UPDATE audit_records SET actor = 'user:mallory' WHERE seq = 1`), "audit log"},
		"audit cut":     {statement(`DELETE FROM audit_records WHERE seq = 3`), "audit log"},
		"no checkpoint": {statement(`UPDATE audit_checkpoints SET object = x'00'`), "audit checkpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			r := started(t, v)
			publish(t, r, v, draft{number: 1, version: "1.0.0", document: doc})
			publish(t, r, v, draft{number: 2, version: "2.0.0"})
			auditKey := newKey()
			if _, err := r.Store().Checkpoint(t.Context(), auditKey, 1, 0); err != nil {
				t.Fatal(err)
			}
			r.auditKey = auditKey.Public()
			if report := wantSound(t, r); report.Releases != 2 || report.Images != 2 || report.Keysets != 1 || report.AuditRecords != 3 || report.AuditConfirmed != 3 {
				t.Errorf("%+v", report)
			}
			c.damage(t, r)
			report, err := r.Fsck(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if report.Sound() || !slices.ContainsFunc(report.Problems, func(f Finding) bool { return strings.HasPrefix(f.Object, c.object) }) {
				t.Errorf("found %v, want one that begins with %q", report.Problems, c.object)
			}
		})
	}
}

// plantKeyset inserts a keyset that other roots signed, with its keys.
func plantKeyset(v *vendor) func(*testing.T, *Repository) {
	return func(t *testing.T, r *Repository) {
		evil := &vendor{deviceType: v.deviceType, roots: []*signing.Key{newKey()}, releases: []*signing.Key{newKey()}, threshold: 1}
		b := evil.keyset(2)
		for _, key := range b.Keys.Keys() {
			behind(t, r, fmt.Sprintf(`INSERT INTO public_keys (id, cose_key) VALUES (x'%s', x'%x')`, key.ID(), key.COSEKey()))
		}
		behind(t, r, fmt.Sprintf(`INSERT INTO keysets (device_type, version, object, added_ms) VALUES ('%s', 2, x'%x', 0)`, v.deviceType, b.Keysets[0]))
	}
}

func writeFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func removeFile(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// A row that was tampered with is not served, whether fsck ran or not.
func TestATamperedReleaseIsNotReturned(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	release := publish(t, r, v, draft{number: 1, version: "1.0.0"})
	behind(t, r, `UPDATE releases SET version = '9.0.0'`)
	_, err := r.Release(t.Context(), release.Identity())
	wantErr(t, err, ErrDamaged)
	_, err = r.Versions(t.Context(), "sensor_v1")
	wantErr(t, err, ErrDamaged)
}

func TestRepairRemovesLeftoversAndNothingElse(t *testing.T) {
	place.OnFiles(t)
	v := newVendor("sensor_v1")
	r := started(t, v)
	publish(t, r, v, draft{number: 1, version: "1.0.0"})
	b, image := v.release(draft{number: 2, version: "2.0.0"})
	m, err := r.CheckRelease(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	// An image without a release, an upload, temporary files, and a stranger.
	if _, err := r.blobs.Put(t.Context(), m.ImageDigest, int64(len(image)), bytes.NewReader(image)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.BeginUpload(t.Context(), manifest.Digest{1}, 10); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{r.Dir(), filepath.Join(r.Dir(), BlobsName, "sha256")} {
		if _, err := fsatomic.Create(fsatomic.OS(), filepath.Join(dir, "x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	foreign := filepath.Join(r.Dir(), BlobsName, "README")
	writeFile(t, foreign, nil)

	report := wantSound(t, r)
	if len(report.Leftovers) != 4 || len(report.Foreign) != 1 || report.Foreign[0].Object != foreign {
		t.Errorf("%+v", report)
	}
	if n, err := r.Repair(t.Context(), alice, time.Hour); err != nil || n != 0 {
		t.Errorf("fresh leftovers: removed %d, %v", n, err)
	}
	r.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if n, err := r.Repair(t.Context(), alice, time.Hour); err != nil || n != 4 {
		t.Errorf("removed %d, %v; want the image, the upload and two temporary files", n, err)
	}
	if report := wantSound(t, r); len(report.Leftovers) != 0 || len(report.Foreign) != 1 || report.AuditRecords != 3 {
		t.Errorf("%+v", report)
	}
	wantReleases(t, r, "sensor_v1", "1.0.0")
	publish(t, r, v, draft{number: 2, version: "2.0.0"})
	wantReleases(t, r, "sensor_v1", "2.0.0", "1.0.0")
}

// Whoever has the file can remove what a row refers to. The row is damaged
// then, not absent: else anybody's keyset could come first.
func TestWhatIsIncompleteIsNotTakenForAbsent(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	release := publish(t, r, v, draft{number: 1, version: "1.0.0"})
	b, image := v.release(draft{number: 2, version: "2.0.0"})
	evil := newVendor(v.deviceType)
	for _, statement := range []string{`DELETE FROM public_keys`, `PRAGMA foreign_keys = 0; DELETE FROM keysets`} {
		behind(t, r, statement)
		cold := &Repository{dir: r.dir, now: r.now, db: r.db, blobs: r.blobs}
		_, err := cold.Release(t.Context(), release.Identity())
		wantErr(t, err, ErrDamaged)
		if errors.Is(err, ErrNotFound) {
			t.Errorf("a damaged release is not found: %v", err)
		}
		if statement != `DELETE FROM public_keys` {
			continue
		}
		if _, err := cold.AddKeyset(t.Context(), alice, evil.keyset(9)); !errors.Is(err, ErrDamaged) {
			t.Errorf("a keyset by other roots: %v", err)
		}
		if _, err := cold.AddFirmware(t.Context(), alice, b, bytes.NewReader(image)); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnknownType) {
			t.Errorf("a release: %v", err)
		}
	}
}

func TestFsckThatIsStoppedFindsNothing(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	publish(t, r, v, draft{number: 1, version: "1.0.0"})
	stopped, stop := context.WithCancel(t.Context())
	err := r.db.View(t.Context(), func(tx *store.Tx) error {
		c := check{r: r, fresh: &Repository{}, ctx: stopped}
		stop()
		err := errors.Join(c.releases(tx), c.row("release", errors.New("interrupted")))
		if len(c.report.Problems) > 0 {
			t.Errorf("found %v", c.report.Problems)
		}
		return err
	})
	wantErr(t, err, context.Canceled)
}

// An image that rotted on the disk is not offered again: it is replaced by a
// new copy, and without one nobody is told that his own image is wrong.
func TestADamagedImageIsNotPublishedAgain(t *testing.T) {
	place.OnFiles(t)
	v := newVendor("sensor_v1")
	r := started(t, v)
	first := publish(t, r, v, draft{number: 1, version: "1.0.0"})
	publish(t, r, v, draft{number: 2, version: "1.1.0"})
	b, image := v.release(draft{number: 3, version: "1.0.0", change: func(m *manifest.Manifest) {
		m.Flags |= manifest.FlagDowngrade
		m.DowngradeFrom = []manifest.Sequence{manifest.NewSequence(1, 2)}
	}})
	rotten := bytes.Clone(image)
	rotten[5] ^= 4
	writeFile(t, filepath.Join(r.Dir(), BlobsName, "sha256", first.Image.SHA256.String()), rotten)
	_, err := r.AddRelease(t.Context(), alice, b)
	wantErr(t, err, ErrDamaged)
	if errors.Is(err, ErrImage) {
		t.Errorf("blames the publisher: %v", err)
	}
	if readable(r, first) == nil {
		t.Fatal("the image is whole")
	}
	if _, err := r.AddFirmware(t.Context(), alice, b, bytes.NewReader(image)); err != nil {
		t.Fatal(err)
	}
	wantReleases(t, r, v.deviceType, "1.0.0", "1.1.0", "1.0.0")
	wantSound(t, r)
}

// Repair removes the image between its upload and its release.
func TestAReleaseWhoseImageWasRepairedAwayIsRefused(t *testing.T) {
	v := newVendor("sensor_v1")
	r := started(t, v)
	b, image := v.release(draft{number: 1, version: "1.0.0"})
	_, err := r.add(t.Context(), alice, b, func(c candidate) (Sums, error) {
		sums, err := r.takeImage(t.Context(), c, bytes.NewReader(image))
		if err != nil {
			return Sums{}, err
		}
		r.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
		n, err := r.Repair(t.Context(), alice, time.Hour)
		if n != 1 {
			t.Errorf("removed %d", n)
		}
		return sums, err
	})
	wantErr(t, err, ErrNoImage)
	wantReleases(t, r, "sensor_v1")
	wantSound(t, r)
}
