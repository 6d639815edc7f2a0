package home

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// vendor is a vendor's keys, made once for all tests of this package.
type vendor struct {
	roots   []*signing.Key
	release *signing.Key
}

func newVendor(t testing.TB) vendor {
	t.Helper()
	make := func(purpose Purpose) *signing.Key {
		k, err := signing.Generate(trust.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		k.Purpose = string(purpose)
		return k
	}
	return vendor{[]*signing.Key{make(ForRoot), make(ForRoot), make(ForRoot)}, make(ReleaseOf("sensor"))}
}

// keyset returns a keyset of that version, signed by the first n roots.
func (v vendor) keyset(t testing.TB, version uint32, n int) []byte {
	t.Helper()
	ks := &trust.Keyset{Vendor: "acme", DeviceType: "sensor", Version: version, RootThreshold: 2, ReleaseThreshold: 1}
	for _, k := range v.roots {
		ks.Roots = append(ks.Roots, trust.SignerKey{ID: k.Public().ID(), Algorithm: trust.Ed25519})
	}
	ks.Releases = []trust.SignerKey{{ID: v.release.Public().ID(), Algorithm: trust.Ed25519, Epoch: 1}}
	raw, err := trust.UnsignedKeyset(ks)
	for _, k := range v.roots[:n] {
		if err == nil {
			raw, err = trust.SignKeyset(raw, k)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (v vendor) ring() trust.KeyRing {
	return trust.NewKeyRing(v.roots[0].Public(), v.roots[1].Public(), v.roots[2].Public(), v.release.Public())
}

func (v vendor) fill(h *Home) error {
	for i, k := range v.roots {
		if _, err := h.AddKey("root-"+string(rune('1'+i)), k, nil); err != nil {
			return err
		}
	}
	_, err := h.AddKey("release", v.release, nil)
	return err
}

func TestFindTakesTheFirstThatIsGiven(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", "/home/somebody")
	t.Setenv("XDG_CONFIG_HOME", "")
	env := map[string]string{}
	find := func(explicit string) string {
		dir, err := Find(explicit, func(name string) string { return env[name] })
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if got := find(""); filepath.Base(got) != "secure-ota" {
		t.Errorf("without anything: %s", got)
	}
	if err := fsatomic.MkdirAll(fsatomic.OS(), DefaultDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := find(""); got != DefaultDir {
		t.Errorf("with ./ota-home: %s", got)
	}
	env[Variable] = "from-env"
	if got := find(""); got != "from-env" {
		t.Errorf("with OTA_HOME: %s", got)
	}
	if got := find("explicit"); got != "explicit" {
		t.Errorf("with --home: %s", got)
	}
}

func TestReopenedHomeHoldsWhatWasPutIn(t *testing.T) {
	v := newVendor(t)
	dir := filepath.Join(t.TempDir(), "home")
	h, err := Create(fsatomic.OS(), dir, "acme", v.fill)
	if err != nil {
		t.Fatal(err)
	}
	if complete, _, err := h.PutKeyset(v.keyset(t, 1, 2), nil); err != nil || !complete {
		t.Fatal(complete, err)
	}
	if h, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	ks, err := h.Newest("sensor")
	if err != nil || ks.Keyset().Version != 1 {
		t.Fatal(ks, err)
	}
	k, err := h.LoadKey("root-1", nil)
	if err != nil || k.Purpose != "root" || k.Public().ID() != v.roots[0].Public().ID() {
		t.Error(k, err)
	}
	if use, err := h.UseOf(v.release.Public().ID()); use != ReleaseOf("sensor") || err != nil {
		t.Error(use, err)
	}
	if _, err := Create(fsatomic.OS(), dir, "acme", v.fill); !errors.Is(err, ErrNotEmpty) {
		t.Error(err)
	}
	if _, err := h.AddKey("root-1", v.roots[1], nil); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
}

// A keyset put in the place of another by hand is noticed: what lies in the
// home is verified whenever it is read.
func TestPlantedKeysetIsRefused(t *testing.T) {
	v, evil := newVendor(t), newVendor(t)
	h, err := Create(fsatomic.OS(), filepath.Join(t.TempDir(), "home"), "acme", v.fill)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.PutKeyset(v.keyset(t, 1, 2), nil); err != nil {
		t.Fatal(err)
	}
	for _, k := range evil.roots {
		if _, err := h.AddPublicKey("evil-"+k.Public().ID().String()[:8], k.Public(), ForRoot); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.write(evil.keyset(t, 2, 3), "types", "sensor", "2.keyset"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Newest("sensor"); !errors.Is(err, ErrDamaged) || !errors.Is(err, trust.ErrNotEnoughSigners) {
		t.Errorf("got %v", err)
	}
}

func TestSequencesOnlyRise(t *testing.T) {
	v := newVendor(t)
	h, err := Create(fsatomic.OS(), filepath.Join(t.TempDir(), "home"), "acme", v.fill)
	if err != nil {
		t.Fatal(err)
	}
	next := func(text string, epoch uint32, known manifest.Sequence) string {
		m := release(t, text)
		if err := h.NextSequence(m, epoch, known, true); err != nil {
			return err.Error()
		}
		return m.Sequence.String()
	}
	for _, step := range []struct{ got, want string }{
		{next("a", 1, 0), "1.1"},
		{next("b", 1, 0), "1.2"},
		{next("c", 1, manifest.NewSequence(1, 7)), "1.8"},
		{next("d", 1, 0), "1.9"},
		{next("d", 1, 0), "1.9"}, // the same release: its publication did not come about
		{next("c", 1, 0), "1.10"},
		{next("c", 1, manifest.NewSequence(1, 10)), "1.11"}, // it did
		{next("d", 2, 0), "2.1"},
		{next("d", 2, manifest.NewSequence(2, 1)), "2.2"},
	} {
		if step.got != step.want {
			t.Errorf("got %s, want %s", step.got, step.want)
		}
	}
	if m := release(t, "d"); h.NextSequence(m, 2, 0, false) != nil || m.Sequence != manifest.NewSequence(2, 3) {
		t.Errorf("a sequence that was given out is given again unasked: %s", m.Sequence)
	}
	if err := h.NextSequence(release(t, "e"), 1, 0, true); !errors.Is(err, trust.ErrOldSequence) {
		t.Errorf("an epoch that is over: %v", err)
	}
	if err := h.UseSequence(release(t, "e"), manifest.NewSequence(2, 2)); !errors.Is(err, trust.ErrOldSequence) {
		t.Errorf("a sequence given out: %v", err)
	}
	if err := h.UseSequence(release(t, "d"), manifest.NewSequence(2, 3)); err != nil {
		t.Errorf("its own sequence: %v", err)
	}
	if err := h.UseSequence(release(t, "e"), manifest.NewSequence(2, 1<<32-1)); err != nil {
		t.Error(err)
	}
	if err := h.NextSequence(release(t, "f"), 2, 0, true); !errors.Is(err, trust.ErrOldSequence) {
		t.Errorf("an epoch used up: %v", err)
	}
}

// release returns a manifest that lacks only its sequence.
func release(t testing.TB, image string) *manifest.Manifest {
	t.Helper()
	v, err := version.Parse("1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	m := manifest.New("acme", "sensor", 0, v)
	m.KeysetVersion = 1
	if err := m.SetImage(sha256.Sum256([]byte(image)), int64(len(image))); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestApprovedDowngradeStaysAboveTheFloor(t *testing.T) {
	v := newVendor(t)
	h, err := Create(fsatomic.OS(), filepath.Join(t.TempDir(), "home"), "acme", v.fill)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(number, counter uint32, text string) {
		parsed, err := version.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		m := manifest.New("acme", "sensor", manifest.NewSequence(1, number), parsed)
		m.SecurityCounter = counter
		if err := h.RecordRelease(m, manifest.Digest{byte(number)}); err != nil {
			t.Fatal(err)
		}
	}
	publish(1, 0, "1.0.0")
	publish(2, 3, "1.1.0")
	publish(3, 3, "1.2.0")
	allow := func(text string) error {
		v, _ := version.Parse(text)
		_, err := h.AllowRollbackTo("sensor", v, "me", "because", 0)
		return err
	}
	if err := allow("1.1.0"); err != nil {
		t.Error(err)
	}
	if err := allow("1.0.0"); !errors.Is(err, trust.ErrBelowFloor) {
		t.Error(err)
	}
	if err := allow("0.9.0"); !errors.Is(err, trust.ErrNothingRetained) {
		t.Error(err)
	}
	if s, err := h.Releases("sensor"); err != nil || len(s.Permits) != 1 || len(s.History) != 3 {
		t.Error(s, err)
	}
}

// The power is cut at every operation of making a home, and again of taking a
// keyset and a sequence: there is no home or a whole one, the keyset waits or
// is there, and no sequence is given out twice.
func TestPowerCutsLeaveTheHomeWhole(t *testing.T) {
	v := newVendor(t)
	partial, full := v.keyset(t, 1, 1), v.keyset(t, 1, 2)
	create := func(fsys fsatomic.FS) error {
		_, err := Create(fsys, "/home", "acme", v.fill)
		return err
	}
	crashfs.Sweep(t, nil, create, func(t testing.TB, fsys *crashfs.FS, _ int, acknowledged bool) {
		h, err := OpenFS(fsys, "/home")
		if errors.Is(err, ErrNoHome) && !acknowledged {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		keys, err := h.Keys()
		if err != nil || len(keys) != 4 {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
	})
	build := func(fsys *crashfs.FS) {
		if err := create(fsys); err != nil {
			t.Fatal(err)
		}
		h, _ := OpenFS(fsys, "/home")
		if _, _, err := h.PutKeyset(partial, nil); err != nil {
			t.Fatal(err)
		}
	}
	var given manifest.Sequence
	change := func(fsys fsatomic.FS) error {
		given = 0
		h, err := OpenFS(fsys, "/home")
		if err != nil {
			return err
		}
		if _, _, err := h.PutKeyset(full, nil); err != nil {
			return err
		}
		m := release(t, "x")
		err = h.NextSequence(m, 1, 0, true)
		given = m.Sequence
		return err
	}
	crashfs.Sweep(t, build, change, func(t testing.TB, fsys *crashfs.FS, _ int, acknowledged bool) {
		h, err := OpenFS(fsys, "/home")
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Newest("sensor")
		waiting, waitErr := h.Request("sensor")
		switch {
		case waitErr != nil:
			t.Fatal(waitErr)
		case errors.Is(err, ErrNoKeyset) && waiting == nil:
			t.Fatal("the keyset is gone")
		case errors.Is(err, ErrNoKeyset) && acknowledged:
			t.Fatal("the keyset was acknowledged and only waits")
		case err != nil && !errors.Is(err, ErrNoKeyset):
			t.Fatal(err)
		}
		last, err := h.LastSequence("sensor")
		if err != nil || last < given {
			t.Fatalf("last sequence %s after %s was given out: %v", last, given, err)
		}
	})
}

func TestKeyNames(t *testing.T) {
	for _, name := range []string{"root-1", "release-a:b-1", "A.b_c"} {
		if err := checkKeyName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := unescape(escape(name)); got != name {
			t.Errorf("%s comes back as %s", name, got)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "-x", "x.pub", "a b", "ä", "a\x00"} {
		if checkKeyName(name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
}
