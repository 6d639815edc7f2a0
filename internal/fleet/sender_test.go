package fleet_test

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"testing"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

// enrolAgain gives a device new keys, in a process of its own.
func enrolAgain(t *testing.T, s *otatest.System, id string) {
	t.Helper()
	f := open(t, s, nil)
	code, _, err := f.AddCode(t.Context(), auth.Actor{Name: "test", Role: auth.Administrator},
		fleet.NewCode{DeviceType: otatest.DeviceType, Device: id, Again: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Enrol(t.Context(), fleet.Enrolment{Code: code, DeviceType: otatest.DeviceType}, ""); err != nil {
		t.Fatal(err)
	}
}

// Whoever has the old keys must not set the counter of the new ones: a report
// with the highest nonce there is would silence the device for ever.
func TestAMessageUnderOldKeysIsRefusedHoweverLateItIsTaken(t *testing.T) {
	s := otatest.New(t)
	s.Publish("1.0.0", []byte("image"))
	s.Device("dev-0001")
	f := open(t, s, nil)
	checking, reporting := f.Sender(""), f.Sender("")
	for _, sender := range []*fleet.Sender{checking, reporting} { // both were authentic when they came
		if _, err := sender.UpKey(otatest.DeviceType, "dev-0001"); err != nil {
			t.Fatal(err)
		}
	}
	enrolAgain(t, s, "dev-0001")
	if _, err := checking.Check(t.Context(), check(math.MaxUint64)); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("check: %v", err)
	}
	report := trust.Report{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: math.MaxUint64, Event: trust.EventInstalled, ImageDigest: factory}
	if err := reporting.Report(t.Context(), report); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("report: %v", err)
	}
	if got := records(t, s, audit.Filter{Action: "device.report."}); len(got) != 0 {
		t.Errorf("on record: %v", got)
	}
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer, err := f.Check(t.Context(), check(1), "")
	if err != nil || answer.ManifestHash.IsZero() {
		t.Errorf("the device's first check under its new keys: %+v, %v", answer, err)
	}
}

func TestARevokedDeviceIsNotToldThatItsReportWasTaken(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	f, other := open(t, s, nil), open(t, s, nil)
	if err := other.Revoke(t.Context(), auth.Actor{Name: "test", Role: auth.Administrator}, ref("dev-0001"), "stolen"); err != nil {
		t.Fatal(err)
	}
	report := trust.Report{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 1, Event: trust.EventInstalled, ImageDigest: factory}
	if err := f.Report(t.Context(), report, ""); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("report: %v", err)
	}
}

func TestARecordingUsesUpNothingOfADevicesRate(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	for range 100 {
		if _, err := s.Server.CheckForUpdates(t.Context(), check(1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Server.CheckForUpdates(t.Context(), check(2)); err != nil {
		t.Errorf("the device itself: %v", err)
	}
	report := trust.Report{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 3, Event: trust.EventInstalled, ImageDigest: factory}
	for range 100 {
		if err := s.Server.RecordUpdate(t.Context(), report); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Server.CheckForUpdates(t.Context(), check(4)); err != nil {
		t.Errorf("the device itself: %v", err)
	}
}

// A check that changed nothing leaves its nonce all the same.
func TestTheHighestNonceOfAnyCheckSurvivesARestart(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	for _, highest := range []uint64{9, 1 << 63, math.MaxUint64} { // the bits of a counter, stored as a signed integer
		f := open(t, s, nil)
		for _, nonce := range []uint64{highest - 1, highest} {
			if _, err := f.Check(t.Context(), check(nonce), ""); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		f = open(t, s, nil)
		if d, err := f.Device(ref("dev-0001")); err != nil || d.CheckNonce != highest {
			t.Errorf("nonce %d after a restart, want %d: %v", d.CheckNonce, highest, err)
		}
	}
	s.Publish("1.0.0", []byte("image"))
	f := open(t, s, nil)
	if answer, err := f.Check(t.Context(), check(9), ""); err != nil || !answer.ManifestHash.IsZero() {
		t.Errorf("a recording from before the restart: %+v, %v", answer, err)
	}
	if got := records(t, s, audit.Filter{Action: "device.offer"}); len(got) != 0 {
		t.Errorf("it opened an offer: %v", got)
	}
}

func TestRefusalsThatCouldNotBeWrittenAreWrittenLater(t *testing.T) {
	s := otatest.New(t)
	f := open(t, s, nil)
	f.Refused(netip.MustParseAddr("10.0.0.1"), "device")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Close(cancelled); err == nil {
		t.Fatal("written with a cancelled context")
	}
	f.Refused(netip.MustParseAddr("10.0.0.1"), "device")
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := records(t, s, audit.Filter{Action: "refused"})
	if len(got) != 1 || string(got[0].After) != `{"device":2}` {
		t.Errorf("on record: %v", got)
	}
}
