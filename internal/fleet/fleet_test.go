package fleet_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

var factory = manifest.Digest(sha256.Sum256([]byte("factory")))

func ref(id string) fleet.Ref { return fleet.Ref{DeviceType: otatest.DeviceType, ID: id} }

// open returns a second fleet on a system's directory, as another process
// would have it.
func open(t *testing.T, s *otatest.System, now func() time.Time) *fleet.Fleet {
	t.Helper()
	f, _ := openBoth(t, s, now)
	return f
}

func openBoth(t *testing.T, s *otatest.System, now func() time.Time) (*fleet.Fleet, *repository.Repository) {
	t.Helper()
	dir := s.Server.Repository().Dir()
	database, blobs := place.Of(t, dir)
	repo, err := repository.Open(t.Context(), repository.Config{Dir: dir, Database: database, Blobs: blobs, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.Open(t.Context(), fleet.Config{
		Repository: repo, Masters: auth.OpenMasters(filepath.Join(dir, "secrets")), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close(context.Background()) // fails where the test has closed the store
		repo.Close()
	})
	return f, repo
}

func check(nonce uint64) trust.CheckRequest {
	return trust.CheckRequest{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: nonce, ImageDigest: factory, KeysetVersion: 1}
}

func records(t *testing.T, s *otatest.System, f audit.Filter) []audit.Record {
	t.Helper()
	list, err := s.Management().AuditRecords(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestConcurrentReportsOfOneDeviceAreTakenOnce(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	var working sync.WaitGroup
	for range 20 {
		working.Go(func() {
			err := s.Server.RecordUpdate(t.Context(), trust.Report{
				Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 7, Event: trust.EventInstalled, ImageDigest: factory,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	if got := len(records(t, s, audit.Filter{Action: "device.report."})); got != 1 {
		t.Errorf("taken %d times", got)
	}
}

func TestTwoProcessesTakeAReportOnce(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	a, b := open(t, s, nil), open(t, s, nil)
	report := trust.Report{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 7, Event: trust.EventInstalled, ImageDigest: factory}
	for _, f := range []*fleet.Fleet{a, b} {
		if err := f.Report(t.Context(), report, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(records(t, s, audit.Filter{Action: "device.report."})); got != 1 {
		t.Errorf("taken %d times", got)
	}
}

func TestASteadyCheckTouchesNoDatabase(t *testing.T) {
	s := otatest.New(t)
	image := []byte("image")
	release := s.Publish("1.0.0", image)
	s.Device("dev-0001")
	var clock atomic.Int64
	clock.Store(time.Now().Unix())
	f, repo := openBoth(t, s, func() time.Time { return time.Unix(clock.Add(1), 0) })
	r := check(1)
	r.Sequence, r.ImageDigest = release.Sequence, release.ImageDigest
	if _, err := f.Check(t.Context(), r, ""); err != nil { // tells what runs
		t.Fatal(err)
	}
	// Whatever a check wanted of the database now, it could not get.
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := repo.Store().Close(); err != nil {
		t.Fatal(err)
	}
	for nonce := uint64(2); nonce < 100; nonce++ {
		r.Nonce = nonce
		answer, err := f.Check(t.Context(), r, "")
		if err != nil || !answer.ManifestHash.IsZero() || answer.Nonce != nonce {
			t.Fatalf("answer %+v, %v", answer, err)
		}
	}
}

func TestWithoutStorageNothingIsOfferedAndNothingTaken(t *testing.T) {
	s := otatest.New(t)
	s.Publish("1.0.0", []byte("image"))
	s.Device("dev-0001")
	f, repo := openBoth(t, s, nil)
	if err := repo.Store().Close(); err != nil {
		t.Fatal(err)
	}
	answer, err := f.Check(t.Context(), check(1), "")
	if err != nil || !answer.ManifestHash.IsZero() || answer.KeysetVersion != 1 {
		t.Errorf("answer %+v, %v: want one, with nothing to install", answer, err)
	}
	err = f.Report(t.Context(), trust.Report{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 2, Event: trust.EventInstalled}, "")
	if !errors.Is(err, fleet.ErrStorage) {
		t.Errorf("report: %v", err)
	}
}

func TestAReplayedCheckChangesNothing(t *testing.T) {
	s := otatest.New(t)
	first := s.Publish("1.0.0", []byte("one"))
	s.Device("dev-0001")
	s.Server.CheckForUpdates(t.Context(), check(1))
	now := check(5)
	now.Sequence, now.ImageDigest = first.Sequence, first.ImageDigest
	if _, err := s.Server.CheckForUpdates(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	before := records(t, s, audit.Filter{Limit: 1})[0].Seq
	for range 3 {
		answer, err := s.Server.CheckForUpdates(t.Context(), check(1)) // as recorded by somebody on the way
		if err != nil || !answer.ManifestHash.IsZero() {
			t.Errorf("answer %+v, %v", answer, err)
		}
	}
	if after := records(t, s, audit.Filter{Limit: 1})[0].Seq; after != before {
		t.Errorf("%d records came of a replay", after-before)
	}
	d, err := s.Management().Device(t.Context(), ref("dev-0001"))
	if err != nil || d.Installed.Sequence != first.Sequence {
		t.Errorf("device %+v, %v", d.Installed, err)
	}
}

func TestAnOfferIsRecordedOnceAndGivenAgain(t *testing.T) {
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("image"))
	s.Device("dev-0001")
	for nonce := uint64(1); nonce < 5; nonce++ {
		for range 2 { // the second is the same request again: the answer was lost
			answer, err := s.Server.CheckForUpdates(t.Context(), check(nonce))
			if err != nil || answer.ManifestHash != release.ManifestHash {
				t.Fatalf("answer %+v, %v", answer, err)
			}
		}
	}
	if got := len(records(t, s, audit.Filter{Action: "device.offer"})); got != 1 {
		t.Errorf("recorded %d times", got)
	}
}

func TestADeviceThatDoesNotNameItsHardwareKeepsTheOneItWasAddedWith(t *testing.T) {
	s := otatest.New(t)
	if _, err := s.Management().AddDevice(t.Context(), fleet.NewDevice{Ref: ref("dev-0001"), HardwareRevision: "B"}); err != nil {
		t.Fatal(err)
	}
	m := s.Manifest("1.0.0", []byte("image"))
	m.HardwareRevisions = []string{"B"}
	release := s.PublishManifest(m, []byte("image"))
	silent, other := check(1), check(2)
	other.HardwareRevision = "C"
	if answer, err := s.Server.CheckForUpdates(t.Context(), silent); err != nil || answer.ManifestHash != release.ManifestHash {
		t.Errorf("answer %+v, %v", answer, err)
	}
	if d, err := s.Management().Device(t.Context(), ref("dev-0001")); err != nil || d.HardwareRevision != "B" {
		t.Errorf("hardware %q, %v", d.HardwareRevision, err)
	}
	// Its own word is the better one.
	if answer, err := s.Server.CheckForUpdates(t.Context(), other); err != nil || !answer.ManifestHash.IsZero() {
		t.Errorf("another revision: answer %+v, %v", answer, err)
	}
}

func TestAnotherProcessSeesAChangeWithinASecond(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	f := open(t, s, nil)
	database, blobs := place.Of(t, s.Server.Repository().Dir())
	local, err := api.OpenLocal(t.Context(), api.LocalConfig{Dir: s.Server.Repository().Dir(), Database: database, Blobs: blobs, User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close(t.Context())
	if err := local.RevokeDevice(t.Context(), ref("dev-0001"), "stolen"); err != nil {
		t.Fatal(err)
	}
	if _, err := local.AddDevice(t.Context(), fleet.NewDevice{Ref: ref("dev-0002")}); err != nil {
		t.Fatal(err)
	}
	image := []byte("image")
	release := s.Publish("1.0.0", image)
	eventually(t, time.Second, func() bool {
		d, err := f.Device(ref("dev-0001"))
		_, errNew := f.Device(ref("dev-0002"))
		return err == nil && d.Revoked && errNew == nil && f.Publishes(release.ImageDigest)
	})
	if _, err := f.Check(t.Context(), check(1), ""); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("a revoked device: %v", err)
	}
}

func eventually(t *testing.T, within time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s", within)
		}
	}
}

func TestAnEnrolmentCodeIsGoodForOneDevice(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	admin := auth.Actor{Name: "test", Role: auth.Administrator}
	code, _, err := f.AddCode(t.Context(), admin, fleet.NewCode{DeviceType: otatest.DeviceType})
	if err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	var enrolled atomic.Int32
	for i := range 8 {
		working.Go(func() {
			p, err := f.Enrol(t.Context(), fleet.Enrolment{Code: code, DeviceType: otatest.DeviceType, Device: "gw-" + string(rune('a'+i))}, "")
			if err == nil && p.UpKey != "" && len(p.Keys) == 4 {
				enrolled.Add(1)
			} else if !errors.Is(err, fleet.ErrUnauthenticated) {
				t.Errorf("%v", err)
			}
		})
	}
	working.Wait()
	if enrolled.Load() != 1 || f.Count() != 1 {
		t.Errorf("%d devices enrolled, %d exist", enrolled.Load(), f.Count())
	}
}

func TestACodeNamesTheDeviceType(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	admin := auth.Actor{Name: "test", Role: auth.Administrator}
	code, _, err := f.AddCode(t.Context(), admin, fleet.NewCode{DeviceType: otatest.DeviceType, Device: "gw-1"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Enrol(t.Context(), fleet.Enrolment{Code: code}, "")
	if err != nil || p.DeviceType != otatest.DeviceType || p.Device != "gw-1" {
		t.Errorf("enrolled as %s/%s (%v)", p.DeviceType, p.Device, err)
	}
}

func TestWhatACodeDoesNotAllow(t *testing.T) {
	s := otatest.New(t)
	now := time.Now()
	var skew atomic.Int64
	f := open(t, s, func() time.Time { return now.Add(time.Duration(skew.Load())) })
	admin := auth.Actor{Name: "test", Role: auth.Administrator}
	add := func(n fleet.NewCode) string {
		t.Helper()
		n.DeviceType = otatest.DeviceType
		code, _, err := f.AddCode(t.Context(), admin, n)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	enrol := func(code, deviceType, id string) (fleet.Provisioning, error) {
		return f.Enrol(t.Context(), fleet.Enrolment{Code: code, DeviceType: deviceType, Device: id}, "")
	}
	refused := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, fleet.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	named := add(fleet.NewCode{Device: "gw-1"})
	_, err := enrol(named, otatest.DeviceType, "gw-2")
	refused("another id", err)
	_, err = enrol(named, "other", "gw-1")
	refused("another type", err)
	first, err := enrol(" "+named, otatest.DeviceType, "")
	if err != nil || first.Device != "gw-1" || first.Generation != 1 {
		t.Fatalf("%v, %v", first, err)
	}
	_, err = enrol(add(fleet.NewCode{}), otatest.DeviceType, "gw-1")
	refused("a device that exists", err)
	again, err := enrol(add(fleet.NewCode{Device: "gw-1", Again: true}), otatest.DeviceType, "gw-1")
	if err != nil || again.Generation != 2 || again.UpKey == first.UpKey {
		t.Fatalf("enrolled again: %v, %v", again, err)
	}
	expired := add(fleet.NewCode{Valid: time.Minute})
	skew.Store(int64(time.Minute))
	_, err = enrol(expired, otatest.DeviceType, "gw-3")
	refused("expired", err)
	chosen, err := enrol(add(fleet.NewCode{}), otatest.DeviceType, "")
	if err != nil || chosen.Device == "" {
		t.Errorf("%v, %v", chosen, err)
	}
}

func TestEnrollingAgainRefusesTheOldKeysAndStartsTheNonceAgain(t *testing.T) {
	s := otatest.New(t)
	old := s.DeviceKeys(s.Device("dev-0001"))
	if err := s.Server.RecordUpdate(t.Context(), trust.Report{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 1 << 63, Event: trust.EventInstalled}); err != nil {
		t.Fatal(err)
	}
	f := open(t, s, nil)
	admin := auth.Actor{Name: "test", Role: auth.Administrator}
	code, _, err := f.AddCode(t.Context(), admin, fleet.NewCode{DeviceType: otatest.DeviceType, Device: "dev-0001", Again: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Enrol(t.Context(), fleet.Enrolment{Code: code, DeviceType: otatest.DeviceType}, ""); err != nil {
		t.Fatal(err)
	}
	raw, err := check(2).Seal(old.Up)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.OpenCheckRequest(raw, f.Sender("").UpKey); !errors.Is(err, trust.ErrBadMAC) {
		t.Errorf("a message under the old key: %v", err)
	}
	if err := f.Report(t.Context(), trust.Report{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 1, Event: trust.EventInstalled}, ""); err != nil {
		t.Fatal(err)
	}
	if got := len(records(t, s, audit.Filter{Action: "device.report.installed"})); got != 2 {
		t.Errorf("%d reports were taken, want 2", got)
	}
}

func TestALostMasterIsNotReplaced(t *testing.T) {
	place.OnFiles(t) // else a server without it does not begin
	s := otatest.New(t)
	s.Device("dev-0001")
	master := filepath.Join(s.Server.Repository().Dir(), "secrets", "fleet-"+otatest.DeviceType+".key")
	if err := os.Remove(master); err != nil {
		t.Fatal(err)
	}
	f := open(t, s, nil) // knows nothing of the file that was there
	admin := auth.Actor{Name: "test", Role: auth.Administrator}
	if _, err := f.Add(t.Context(), admin, fleet.NewDevice{Ref: ref("dev-0002")}); !errors.Is(err, auth.ErrNoMaster) {
		t.Errorf("add: %v", err)
	}
	if _, err := os.Stat(master); err == nil {
		t.Error("a new master was made, which locks out every device")
	}
}

func TestRefusalsAreCountedNotRecordedOneByOne(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	for i := range 10_000 {
		f.Refused(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), "device")
	}
	for range 500 {
		f.Refused(netip.MustParseAddr("10.0.0.0"), "operator")
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := records(t, s, audit.Filter{Action: "refused"})
	if len(got) == 0 || len(got) > 65 {
		t.Errorf("%d records of 10,500 refusals", len(got))
	}
}

func TestAnOperatorCanTellADeviceToTryAgain(t *testing.T) {
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("image"))
	s.Device("dev-0001")
	ask := func(nonce uint64) trust.CheckResponse {
		t.Helper()
		answer, err := s.Server.CheckForUpdates(t.Context(), check(nonce))
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	ask(1)
	err := s.Server.RecordUpdate(t.Context(), trust.Report{
		Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 2, Event: trust.EventReverted, ImageDigest: factory, Target: release.ManifestHash,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !ask(3).ManifestHash.IsZero() {
		t.Fatal("offered what was reverted")
	}
	if err := s.Management().RetryDevice(t.Context(), server.DeviceRef{DeviceType: otatest.DeviceType, ID: "dev-0001"}); err != nil {
		t.Fatal(err)
	}
	if answer := ask(4); answer.ManifestHash != release.ManifestHash || !answer.RetryRejected {
		t.Errorf("answer %+v", answer)
	}
}

func TestARefusalWithoutATargetKeepsNoReleaseAway(t *testing.T) {
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("image"))
	s.Device("dev-0001")
	refuse := func(nonce uint64, target manifest.Digest) (offered manifest.Digest) {
		t.Helper()
		err := s.Server.RecordUpdate(t.Context(), trust.Report{
			Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: nonce, Event: trust.EventRefused,
			Reason: trust.ErrWrongType, ImageDigest: factory, Target: target,
		})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.Server.CheckForUpdates(t.Context(), check(nonce+1))
		if err != nil {
			t.Fatal(err)
		}
		return answer.ManifestHash
	}
	if _, err := s.Server.CheckForUpdates(t.Context(), check(1)); err != nil {
		t.Fatal(err)
	}
	if refuse(2, manifest.Digest{}) != release.ManifestHash {
		t.Error("kept away by a refusal of something else")
	}
	if !refuse(4, release.ManifestHash).IsZero() {
		t.Error("offered what it refused")
	}
}

func TestARepeatedConfirmationDoesNotUndoTheOperatorsWord(t *testing.T) {
	s := otatest.New(t)
	image := []byte("image")
	first := s.Publish("1.0.0", image)
	second := s.Publish("1.1.0", []byte("worse image"))
	s.Device("dev-0001")
	device := server.DeviceRef{DeviceType: otatest.DeviceType, ID: "dev-0001"}
	report := func(nonce uint64, event trust.Event, target manifest.Digest) {
		t.Helper()
		err := s.Server.RecordUpdate(t.Context(), trust.Report{
			Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: nonce, Event: event,
			Sequence: first.Sequence, ImageDigest: sha256.Sum256(image), Target: target,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	report(1, trust.EventConfirmed, first.ManifestHash)
	report(2, trust.EventReverted, second.ManifestHash)
	if err := s.Management().RetryDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	report(3, trust.EventConfirmed, first.ManifestHash) // it restarted, and says again what it said
	question := check(4)
	question.Sequence, question.ImageDigest = first.Sequence, sha256.Sum256(image)
	answer, err := s.Server.CheckForUpdates(t.Context(), question)
	if err != nil || answer.ManifestHash != second.ManifestHash || !answer.RetryRejected {
		t.Errorf("answer %+v, %v", answer, err)
	}
}

func TestDevicesAreListedPageByPage(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	names := func(deviceType string, after fleet.Ref, limit int) (ids string) {
		for _, d := range f.Devices(deviceType, after, limit) {
			ids += d.ID + " "
		}
		return ids
	}
	if got := names("", fleet.Ref{}, 10); got != "" {
		t.Errorf("of nothing: %s", got)
	}
	for _, id := range []string{"c", "a", "b"} {
		if _, err := f.Add(t.Context(), auth.Actor{Name: "test"}, fleet.NewDevice{Ref: ref(id)}); err != nil {
			t.Fatal(err)
		}
		f.Devices("", fleet.Ref{}, 1) // a device that comes later is listed all the same
	}
	for _, c := range []struct {
		deviceType string
		after      fleet.Ref
		limit      int
		want       string
	}{
		{"", fleet.Ref{}, 10, "a b c "},
		{"", fleet.Ref{}, 2, "a b "},
		{"", ref("b"), 10, "c "},
		{"", ref("aa"), 10, "b c "},
		{"", ref("c"), 10, ""},
		{otatest.DeviceType, fleet.Ref{}, 10, "a b c "},
		{otatest.DeviceType, fleet.Ref{DeviceType: "zzz"}, 10, ""},
		{"another", fleet.Ref{}, 10, ""},
	} {
		if got := names(c.deviceType, c.after, c.limit); got != c.want {
			t.Errorf("type %q after %s, %d: %q, want %q", c.deviceType, c.after, c.limit, got, c.want)
		}
	}
}
