package rollout_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

const deviceType = "sensor_v1"

var (
	factory = manifest.Digest(sha256.Sum256([]byte("factory")))
	alice   = auth.Actor{Name: "token:alice", Role: auth.Approver}
	bob     = auth.Actor{Name: "token:bob", Role: auth.Approver}
	admin   = auth.Actor{Name: "token:admin", Role: auth.Administrator}
)

// A world is a data directory with a clock of its own, and the servers on it.
type world struct {
	t    testing.TB
	dir  string
	ms   atomic.Int64
	root []*signing.Key
	key  *signing.Key // of releases
	next uint32       // release number
	*rollout.Engine
	repo *repository.Repository
	log  *slog.Logger // of servers that are opened from now on; nil: none
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newWorld has one device type, which waits for rollouts.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir())
}

func newWorldIn(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{t: t, dir: dir, root: vendor().root, key: vendor().key}
	w.ms.Store(time.Date(2030, 1, 7, 12, 0, 0, 0, time.UTC).UnixMilli()) // a Monday
	if !place.Shared() {
		must(0, os.WriteFile(filepath.Join(dir, repository.DatabaseName), emptyDatabase(), 0o600))(t)
	}
	w.Engine, w.repo = w.replica()
	_, err := w.repo.AddKeyset(t.Context(), repository.Actor{Name: "test"}, w.keyset(1, w.root, w.key))
	w.must(err)
	w.must(w.Fleet().Refresh(t.Context()))
	w.set(rollout.TypeSettings{DeviceType: deviceType, Offer: rollout.Rollouts})
	return w
}

// keys are a vendor's.
type keys struct {
	root []*signing.Key
	key  *signing.Key // of releases
}

var vendor = sync.OnceValue(func() keys {
	var made []*signing.Key
	for range 3 {
		k, err := signing.Generate(trust.Ed25519)
		if err != nil {
			panic(err)
		}
		made = append(made, k)
	}
	return keys{root: made[:2], key: made[2]}
})

// emptyDatabase is the file of a database in which nothing stands: to make the
// schema takes longer than most tests.
var emptyDatabase = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "rollout")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, repository.DatabaseName)
	db, err := store.Open(context.Background(), file)
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		panic(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	return content
})

// replica opens another server on what is stored, which does nothing unasked.
func (w *world) replica() (*rollout.Engine, *repository.Repository) { return w.open(rollout.OpenStill) }

func (w *world) open(start func(context.Context, fleet.Config) (*rollout.Engine, error)) (*rollout.Engine, *repository.Repository) {
	w.t.Helper()
	database, blobs := place.Of(w.t, w.dir)
	repo := must(repository.Open(w.t.Context(), repository.Config{Dir: w.dir, Database: database, Blobs: blobs, Create: true, Now: w.now}))(w.t)
	e := must(start(w.t.Context(), fleet.Config{
		Repository: repo, Masters: auth.OpenMasters(filepath.Join(w.dir, repository.SecretsName)), Now: w.now, Retry: time.Hour, Log: w.log,
	}))(w.t)
	w.t.Cleanup(func() {
		e.Close(context.Background()) // fails where the test has closed the store
		repo.Close()
	})
	return e, repo
}

func (w *world) now() time.Time { return time.UnixMilli(w.ms.Load()).UTC() }

// pass lets time pass, and what is due be done.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.ms.Add(d.Milliseconds())
	w.Forget()
	w.must(w.Tick(w.t.Context()))
}

func (w *world) set(s rollout.TypeSettings) {
	w.t.Helper()
	_, err := w.SetType(w.t.Context(), admin, s)
	w.must(err)
	w.must(w.Refresh(w.t.Context()))
}

func (w *world) keyset(n uint32, roots []*signing.Key, release *signing.Key, signers ...*signing.Key) trust.Bundle {
	w.t.Helper()
	ks := &trust.Keyset{Vendor: "acme", DeviceType: deviceType, Version: n, RootThreshold: len(roots), ReleaseThreshold: 1}
	keys := trust.KeyRing{release.Public().ID(): release.Public()}
	for _, k := range roots {
		ks.Roots = append(ks.Roots, trust.SignerKey{ID: k.Public().ID(), Algorithm: trust.Ed25519})
		keys[k.Public().ID()] = k.Public()
	}
	ks.Releases = []trust.SignerKey{{ID: release.Public().ID(), Algorithm: trust.Ed25519, Epoch: 1}}
	raw := must(trust.UnsignedKeyset(ks))(w.t)
	for _, k := range append(append([]*signing.Key{}, roots...), signers...) {
		raw = must(trust.SignKeyset(raw, k))(w.t)
	}
	return trust.Bundle{Keysets: [][]byte{raw}, Keys: keys}
}

// publish publishes a release.
func (w *world) publish(v string, change ...func(*manifest.Manifest)) repository.Release {
	w.t.Helper()
	w.next++
	m := manifest.New("acme", deviceType, manifest.NewSequence(1, w.next), must(version.Parse(v))(w.t))
	image := []byte("image " + v)
	w.must(m.SetImage(sha256.Sum256(image), int64(len(image))))
	for _, f := range change {
		f(m)
	}
	raw := must(trust.UnsignedManifest(m))(w.t)
	raw = must(trust.SignManifest(raw, w.key))(w.t)
	r := must(w.repo.AddFirmware(w.t.Context(), repository.Actor{Name: "test"}, trust.Bundle{Manifest: raw}, bytes.NewReader(image)))(w.t)
	w.must(w.Fleet().Refresh(w.t.Context()))
	return r
}

// downgrade publishes an approved way back to a release from another one.
func (w *world) downgrade(to, from repository.Release) repository.Release {
	return w.publish(to.Version().String(), func(m *manifest.Manifest) {
		m.Flags, m.DowngradeFrom = manifest.FlagDowngrade, []manifest.Sequence{from.Manifest.Manifest().Sequence}
	})
}

// A device speaks as a real one would.
type device struct {
	id      string
	nonce   uint64
	running fleet.Running
	boot    trust.BootState
	keyset  uint32
	level   fleet.Level
}

// devices adds n devices that run their first image.
func (w *world) devices(n int) []*device { return w.group("dev", n) }

// group adds n devices whose ids begin with a name, which is a label too.
func (w *world) group(name string, n int) []*device {
	w.t.Helper()
	var list []*device
	for i := range n {
		list = append(list, &device{id: fmt.Sprintf("%s-%05d", name, i), running: fleet.Running{Digest: factory}, keyset: 1})
	}
	w.must(w.Fleet().Populate(w.t.Context(), admin, deviceType, n, func(i int) fleet.Seed {
		return fleet.Seed{
			NewDevice: fleet.NewDevice{Ref: fleet.Ref{DeviceType: deviceType, ID: list[i].id}, Level: fleet.Keyed, Labels: map[string]string{"group": name}},
			Installed: list[i].running, KeysetVersion: list[i].keyset,
		}
	}))
	return list
}

func (w *world) device(id string, n fleet.NewDevice) *device {
	n.Ref = fleet.Ref{DeviceType: deviceType, ID: id}
	d := &device{id: id, running: fleet.Running{Digest: factory}, keyset: 1, level: n.Level}
	if _, err := w.Fleet().Add(w.t.Context(), admin, n); err != nil {
		w.t.Error(err)
	}
	if _, err := w.check(d); err != nil {
		w.t.Error(err)
	}
	return d
}

// check asks for updates, and returns the hash of the manifest that is offered.
func (w *world) check(d *device) (manifest.Digest, error) { return w.checkAt(w.Engine, d) }

func (w *world) checkAt(e *rollout.Engine, d *device) (manifest.Digest, error) {
	d.nonce++
	answer, err := e.Fleet().Check(w.t.Context(), trust.CheckRequest{
		Device: d.id, DeviceType: deviceType, Nonce: d.nonce, Sequence: d.running.Sequence, ImageDigest: d.running.Digest,
		KeysetVersion: d.keyset, Boot: d.boot,
	}, "")
	var rate *fleet.RateError
	if errors.As(err, &rate) { // the clock stands still
		return manifest.Digest{}, nil
	}
	return answer.ManifestHash, err
}

// offered checks, and reports whether that release is offered.
func (w *world) offered(d *device, r repository.Release) bool {
	w.t.Helper()
	hash := must(w.check(d))(w.t)
	if !hash.IsZero() && hash != r.ManifestHash {
		w.t.Errorf("device %s is offered %s", d.id, hash)
	}
	return hash == r.ManifestHash
}

// count checks with all devices, and returns how many are offered the release.
func (w *world) count(list []*device, r repository.Release) (n int) {
	w.t.Helper()
	for _, d := range list {
		if w.offered(d, r) {
			n++
		}
	}
	return n
}

func (w *world) report(d *device, event trust.Event, change ...func(*trust.Report)) {
	w.t.Helper()
	d.nonce++
	r := trust.Report{
		Device: d.id, DeviceType: deviceType, Nonce: d.nonce, Event: event, Sequence: d.running.Sequence, ImageDigest: d.running.Digest,
	}
	for _, f := range change {
		f(&r)
	}
	w.must(w.Fleet().Report(w.t.Context(), r, ""))
}

func about(r repository.Release) func(*trust.Report) {
	return func(report *trust.Report) { report.Target = r.ManifestHash }
}

func runs(r repository.Release) fleet.Running {
	m := r.Manifest.Manifest()
	return fleet.Running{Sequence: m.Sequence, Digest: m.ImageDigest}
}

// install does what a healthy device does, up to the report.
func (w *world) install(d *device, r repository.Release) {
	w.t.Helper()
	w.report(d, trust.EventInstalled, about(r))
	d.running, d.boot = runs(r), trust.BootTrial
	w.report(d, trust.EventTrial, about(r))
	d.boot = trust.BootConfirmed
	w.report(d, trust.EventConfirmed, about(r))
}

// revert does what a device does whose trial fails.
func (w *world) revert(d *device, r repository.Release) {
	w.t.Helper()
	before := d.running
	w.report(d, trust.EventInstalled, about(r))
	d.running, d.boot = runs(r), trust.BootTrial
	w.report(d, trust.EventTrial, about(r))
	d.running, d.boot = before, trust.BootReverted
	w.report(d, trust.EventReverted, about(r), func(r *trust.Report) { r.Reason = trust.ErrHealthCheck })
}

// spec is a rollout to half of the devices and then to all.
func (w *world) spec(name string, r repository.Release, change ...func(*rollout.Spec)) rollout.Spec {
	s := rollout.Spec{
		Name: name, DeviceType: deviceType, Release: r.Identity(), MaxUnproven: 1_000_000,
		Stages: []rollout.Stage{{Percent: 50, Soak: rollout.Duration(time.Hour)}, {Percent: 100}},
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

// begin creates and starts a rollout.
func (w *world) begin(s rollout.Spec) rollout.Rollout {
	w.t.Helper()
	must(w.Create(w.t.Context(), alice, s))(w.t)
	return w.act(s.Name, rollout.Start)
}

// Act orders something of the rollout that has a name now.
func (w *world) Act(ctx context.Context, by auth.Actor, name string, a rollout.Action, why string) (rollout.Rollout, error) {
	seen, err := w.Show(ctx, name)
	if err != nil {
		return seen, err
	}
	return w.Engine.Act(ctx, by, seen, a, why)
}

func (w *world) act(name string, a rollout.Action) rollout.Rollout {
	w.t.Helper()
	return must(w.Act(w.t.Context(), alice, name, a, "because"))(w.t)
}

func (w *world) show(name string) rollout.Rollout {
	w.t.Helper()
	w.Forget()
	return must(w.Show(w.t.Context(), name))(w.t)
}
