package rollback_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/version"
)

const statePath = "/rollback.json"

var sameState = cmp.Options{cmp.Comparer(func(a, b version.Version) bool { return a == b }), cmpopts.EquateEmpty()}

func entry(number uint32, v string) rollback.Entry {
	return rollback.Entry{
		Sequence: manifest.NewSequence(1, number), Version: parse(v), SecurityCounter: number, ImageDigest: manifest.Digest{byte(number)},
		ImageSize: 100, ManifestHash: manifest.Digest{0xff}, OldestReturn: manifest.NewSequence(1, 1),
	}
}

func open(t testing.TB, fsys fsatomic.FS) *rollback.Protection {
	t.Helper()
	p, err := rollback.OpenFS(fsys, statePath)
	if err != nil {
		t.Fatal(err)
	}
	p.Now = func() time.Time { return now }
	return p
}

func TestStateSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	p, err := rollback.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(p.State(), rollback.State{}, sameState) {
		t.Error("a file that does not exist is not the zero state")
	}
	for _, step := range []func() error{
		func() error { return p.RecordVersionUpdate(entry(1, "1.0.0")) },
		func() error { return p.RecordVersionUpdate(entry(2, "1.1.0-rc.1+build.5")) },
		func() error { return p.Reject(manifest.Digest{9}) },
		func() error { return p.RaiseMinimum(parse("1.0.0")) },
		func() error { _, err := p.AllowRollbackTo(parse("1.1.0-rc.1+build.5"), "ann", "why", 0); return err },
		func() error { return p.RecordReturn(entry(1, "1.0.0")) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		again, err := rollback.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.State(), again.State(), sameState); diff != "" {
			t.Errorf("reads back differently:\n%s", diff)
		}
	}
	if p.MinimumVersion() != parse("1.0.0") || len(p.History()) != 3 {
		t.Errorf("minimum %v, history %v", p.MinimumVersion(), p.History())
	}
	if err := p.Check(next(), facts()); err != nil {
		t.Error(err)
	}
	if err := p.CheckReturn(entry(1, "1.0.0"), 0); err == nil {
		t.Error("returns to an image that was never confirmed")
	}
}

func TestWhatIsReturnedIsACopy(t *testing.T) {
	p := open(t, crashfs.New())
	if err := p.RecordVersionUpdate(entry(1, "1.0.0")); err != nil {
		t.Fatal(err)
	}
	p.History()[0].SecurityCounter = 99
	s := p.State()
	s.Reject(manifest.Digest{1})
	s.History[0].Version = parse("9.9.9")
	if got := p.State(); got.History[0].SecurityCounter != 1 || got.History[0].Version != parse("1.0.0") || len(got.Rejected) != 0 {
		t.Error("the state can be changed from outside")
	}
}

// A damaged file is an error, never an empty history: with that the device would
// take any old release.
func TestDamagedStateIsNotForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	p, err := rollback.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.RecordVersionUpdate(entry(3, "1.0.0")); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{
		"empty": {}, "an object without its format": []byte("{}"), "null": []byte("null"), "a list": []byte("[]"),
		"another format": bytes.Replace(good, []byte(`"format": 1`), []byte(`"format": 2`), 1),
		"two states":     append(bytes.Clone(good), good...), "bytes after it": append(bytes.Clone(good), 'x'),
		"a member twice":       bytes.Replace(good, []byte(`"floor"`), []byte(`"floor": {"epoch":0,"counter":0}, "floor"`), 1),
		"an unknown member":    bytes.Replace(good, []byte(`"floor"`), []byte(`"flour": 1, "floor"`), 1),
		"a member in capitals": bytes.Replace(good, []byte(`"floor"`), []byte(`"Floor"`), 1),
	}
	for size := range len(good) - 1 { // without its last line feed it is still whole
		damaged[fmt.Sprintf("cut after %d bytes", size)] = good[:size]
	}
	for name, text := range damaged {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := rollback.Open(path); err == nil {
			t.Errorf("%s opens as %+v", name, got.State())
		}
	}
}

func TestStateThatCannotBeReadIsAnError(t *testing.T) {
	fs := crashfs.New()
	if err := open(t, fs).RecordVersionUpdate(entry(1, "1.0.0")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("bad sector")
	fs.FailReadAt(fs.Reads()+1, broken)
	if _, err := rollback.OpenFS(fs, statePath); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// build makes a device with one confirmed release.
func build(fs *crashfs.FS) {
	p, err := rollback.OpenFS(fs, statePath)
	if err == nil {
		err = p.RecordVersionUpdate(entry(1, "1.0.0"))
	}
	if err != nil {
		panic(err)
	}
}

func TestPowerCutLeavesTheOldStateOrTheNew(t *testing.T) {
	n := crashfs.Sweep(t, build, func(fsys fsatomic.FS) error {
		p, err := rollback.OpenFS(fsys, statePath)
		if err != nil {
			return err
		}
		return p.RecordVersionUpdate(entry(2, "1.1.0"))
	}, func(t testing.TB, fs *crashfs.FS, _ int, acknowledged bool) {
		p, err := rollback.OpenFS(fs, statePath)
		if err != nil {
			t.Error(err)
			return
		}
		got := p.State().Installed.Sequence.Number()
		if got != 2 && (acknowledged || got != 1) {
			t.Errorf("installed is release %d", got)
		}
	})
	t.Logf("%d points", n)
}

func TestFailedWriteChangesNothing(t *testing.T) {
	full := errors.New("disk full")
	for at := 1; ; at++ {
		fs := crashfs.New()
		build(fs)
		p := open(t, fs)
		before := p.State()
		ops := fs.Ops()
		fs.FailAt(ops+at, full)
		err := p.RecordVersionUpdate(entry(2, "1.1.0"))
		if err == nil {
			if at == 1 {
				t.Fatal("no write failed")
			}
			return
		}
		if !errors.Is(err, full) {
			t.Fatalf("operation %d: got %v", at, err)
		}
		if diff := cmp.Diff(before, p.State(), sameState); diff != "" {
			t.Errorf("operation %d failed, and the state changed:\n%s", at, diff)
		}
		if err := p.RecordVersionUpdate(entry(2, "1.1.0")); err != nil {
			t.Errorf("operation %d failed once, and the next try: %v", at, err)
		}
		if got := open(t, fs).State().Installed.Sequence.Number(); got != 2 {
			t.Errorf("operation %d: release %d after the second try", at, got)
		}
	}
}

func TestRefusedChangeIsNotStored(t *testing.T) {
	fs := crashfs.New()
	build(fs)
	p := open(t, fs)
	ops := fs.Ops()
	if _, err := p.AllowRollbackTo(parse("9.9.9"), "ann", "", 0); err == nil {
		t.Fatal("approved")
	}
	if err := p.RecordVersionUpdate(rollback.Entry{}); err == nil {
		t.Error("an entry without a version is recorded")
	}
	if fs.Ops() != ops {
		t.Error("a refusal wrote to the disk")
	}
}

func TestConcurrentChangesAreAllKept(t *testing.T) {
	p := open(t, crashfs.New())
	var group sync.WaitGroup
	for i := range rollback.MaxRejected {
		group.Go(func() {
			if err := p.Reject(manifest.Digest{byte(i + 1)}); err != nil {
				t.Error(err)
			}
			p.State()
		})
	}
	group.Wait()
	if got := len(p.State().Rejected); got != rollback.MaxRejected {
		t.Errorf("%d of %d changes are there", got, rollback.MaxRejected)
	}
}
