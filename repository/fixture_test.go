package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

var alice = Actor{Name: "user:alice", Address: "192.0.2.1"}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newKey() *signing.Key { return must(signing.Generate(trust.Ed25519)) }

// A vendor holds the private keys of one device type and makes its objects.
type vendor struct {
	deviceType string
	roots      []*signing.Key
	releases   []*signing.Key // the one at place i is of epoch i+1
	threshold  int            // of releases
	floor      uint32
}

func newVendor(deviceType string) *vendor {
	return &vendor{deviceType: deviceType, roots: []*signing.Key{newKey(), newKey()}, releases: []*signing.Key{newKey()}, threshold: 1}
}

// keyset returns a keyset of those keys, signed by the roots and others.
func (v *vendor) keyset(version uint32, signers ...*signing.Key) trust.Bundle {
	ks := &trust.Keyset{Vendor: "acme", DeviceType: v.deviceType, Version: version, RootThreshold: len(v.roots), ReleaseThreshold: v.threshold, SecurityFloor: v.floor}
	keys := trust.KeyRing{}
	for _, k := range v.roots {
		ks.Roots = append(ks.Roots, trust.SignerKey{ID: k.Public().ID(), Algorithm: k.Public().Algorithm()})
		keys[k.Public().ID()] = k.Public()
	}
	for i, k := range v.releases {
		if k != nil {
			ks.Releases = append(ks.Releases, trust.SignerKey{ID: k.Public().ID(), Algorithm: k.Public().Algorithm(), Epoch: uint32(i + 1)})
			keys[k.Public().ID()] = k.Public()
		}
	}
	raw := must(trust.UnsignedKeyset(ks))
	for _, k := range append(append([]*signing.Key{}, v.roots...), signers...) {
		raw = must(trust.SignKeyset(raw, k))
	}
	return trust.Bundle{Keysets: [][]byte{raw}, Keys: keys}
}

// firmwareOf returns an image that no other text has.
func firmwareOf(text string) []byte {
	return bytes.Repeat([]byte("firmware "+text+"\n"), 100)
}

// A draft is a release before it is signed.
type draft struct {
	epoch, number uint32
	version       string
	image         []byte // nil: firmwareOf(version)
	document      *manifest.Document
	change        func(*manifest.Manifest)
	signers       []*signing.Key // nil: the release key of the epoch
}

// release returns the signed release and its image.
func (v *vendor) release(d draft) (trust.Bundle, []byte) {
	if d.epoch == 0 {
		d.epoch = 1
	}
	if d.image == nil {
		d.image = firmwareOf(d.version)
	}
	m := manifest.New("acme", v.deviceType, manifest.NewSequence(d.epoch, d.number), must(version.Parse(d.version)))
	if err := m.SetImage(sha256.Sum256(d.image), int64(len(d.image))); err != nil {
		panic(err)
	}
	var b trust.Bundle
	if d.document != nil {
		b.ReleaseDocument, m.ReleaseDigest = must2(d.document.Encode())
	}
	if d.change != nil {
		d.change(m)
	}
	if d.signers == nil {
		d.signers = []*signing.Key{v.releases[d.epoch-1]}
	}
	b.Manifest = must(trust.UnsignedManifest(m))
	for _, k := range d.signers {
		b.Manifest = must(trust.SignManifest(b.Manifest, k))
	}
	return b, d.image
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

// emptyDatabase is the file of a new database. It is made once: to make the
// schema takes longer than most tests.
var emptyDatabase = sync.OnceValue(func() []byte {
	dir := must(os.MkdirTemp("", ""))
	defer os.RemoveAll(dir)
	if err := openDirAndClose(dir); err != nil {
		panic(err)
	}
	return must(os.ReadFile(filepath.Join(dir, DatabaseName)))
})

func openDir(t testing.TB, dir string) *Repository {
	t.Helper()
	database, blobs := place.Of(t, dir)
	if _, err := os.Stat(filepath.Join(dir, DatabaseName)); errors.Is(err, fs.ErrNotExist) && database == "" {
		writeFile(t, filepath.Join(dir, DatabaseName), emptyDatabase())
	}
	r, err := Open(context.Background(), Config{Dir: dir, Database: database, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// started returns a repository that holds the vendor's first keyset.
func started(t testing.TB, v *vendor) *Repository {
	t.Helper()
	r := openDir(t, t.TempDir())
	if _, err := r.AddKeyset(context.Background(), alice, v.keyset(1)); err != nil {
		t.Fatal(err)
	}
	return r
}

func publish(t testing.TB, r *Repository, v *vendor, d draft) Release {
	t.Helper()
	b, image := v.release(d)
	release, err := r.AddFirmware(context.Background(), alice, b, bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func wantErr(t testing.TB, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("got  %v\nwant %v", err, target)
		}
	}
}

// wantSound fails if fsck finds anything but leftovers.
func wantSound(t testing.TB, r *Repository) Report {
	t.Helper()
	report, err := r.Fsck(context.Background())
	if err != nil || !report.Sound() {
		t.Errorf("fsck: %v, %v", report.Problems, err)
	}
	return report
}

// wantReleases fails unless those versions are published, newest first, and
// each image can be read.
func wantReleases(t testing.TB, r *Repository, deviceType string, versions ...string) {
	t.Helper()
	found, err := r.Versions(context.Background(), deviceType)
	if err != nil {
		t.Error(err)
		return
	}
	var got []string
	for _, release := range found {
		got = append(got, release.Version().String())
		if err := readable(r, release); err != nil {
			t.Errorf("%s: %v", release.Version(), err)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(versions) {
		t.Errorf("published are %v, want %v", got, versions)
	}
}

func readable(r *Repository, release Release) error {
	f, size, err := r.Firmware(context.Background(), release.Image.SHA256)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if n != size || n != int64(release.Manifest.Manifest().ImageSize) || manifest.Digest(h.Sum(nil)) != release.Manifest.Manifest().ImageDigest {
		return fmt.Errorf("image of %d bytes is not the one of the manifest", n)
	}
	return nil
}
