package client_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent/slot"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

func TestUpdateIsInstalledTriedAndConfirmed(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.runs(t, imageV1)
	d.server.Publish(seq(2), "2.0.0", imageV2, func(m *manifest.Manifest) { m.SecurityCounter = 7 })
	c := d.install(t)
	d.runs(t, imageV2)

	want := []trust.Event{trust.EventDownloading, trust.EventInstalled, trust.EventTrial, trust.EventConfirmed}
	if got := d.events(); !slices.Equal(got, append(want, want...)) {
		t.Errorf("reported %v", got)
	}
	last := d.lastReport(t)
	if last.Sequence != seq(2) || last.ImageDigest != c.State().Rollback.Installed.ImageDigest {
		t.Errorf("confirmed as sequence %v, digest %v", last.Sequence, last.ImageDigest)
	}
	if f := c.State().Rollback.Floor; f.Counter != 7 || f.Epoch != 1 {
		t.Errorf("floor %+v", f)
	}
	if c.State().Retained.Version.String() != "1.0.0" || len(c.DeviceInfo().History) != 2 {
		t.Errorf("retained %v, history %v", c.State().Retained.Version, c.DeviceInfo().History)
	}
	if out, err := c.Update(t.Context()); err != nil || out.Switched {
		t.Errorf("a second check: switched %v, %v", out.Switched, err)
	}
	if p := d.server.Problems(); len(p) > 0 {
		t.Error(p)
	}
}

func TestFloorDoesNotRiseBeforeConfirmation(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1, func(m *manifest.Manifest) { m.SecurityCounter = 9 })
	c, _ := d.mustBoot(t)
	if _, err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, image := d.mustBoot(t)
	if !image.Trial || c.State().Rollback.Floor.Counter != 0 {
		t.Fatalf("trial %v, floor %v", image.Trial, c.State().Rollback.Floor)
	}
	if err := c.ConfirmFirmware(t.Context()); err != nil || c.State().Rollback.Floor.Counter != 9 {
		t.Fatalf("%v, floor %v", err, c.State().Rollback.Floor)
	}
}

func TestTrialThatNeverConfirmsIsReverted(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.server.Publish(seq(2), "2.0.0", imageV2)
	c, _ := d.mustBoot(t)
	if _, err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, image := d.mustBoot(t); !image.Trial {
			t.Fatalf("boot %d is no trial", i+1)
		}
	}
	d.runs(t, imageV1)
	c, _ = d.mustBoot(t)
	if err := c.DeliverReports(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := d.lastReport(t); r.Event != trust.EventReverted || r.Reason != reason.TriesExhausted || r.Sequence != seq(1) {
		t.Errorf("reported %+v", r)
	}
	_, err := c.Update(t.Context())
	wantReason(t, err, trust.ErrRejectedBefore)
	if d.server.LastCheck(id).Boot != trust.BootReverted {
		t.Error("the check does not say that the trial was reverted")
	}
	reports := len(d.server.Reports(id))
	if _, err = c.Update(t.Context()); len(d.server.Reports(id)) != reports {
		t.Errorf("the same refusal is reported again (%v)", err)
	}
	d.server.RetryRejected()
	d.install(t)
	d.runs(t, imageV2)
}

func TestRejectedTrialRevertsWithItsReason(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.server.Publish(seq(2), "2.0.0", imageV2)
	c, _ := d.mustBoot(t)
	if _, err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, _ = d.mustBoot(t)
	if err := c.RejectFirmware(t.Context(), reason.HealthCheck, "no answer from the sensor"); err != nil {
		t.Fatal(err)
	}
	d.runs(t, imageV1)
	c, _ = d.mustBoot(t)
	if err := c.DeliverReports(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := d.lastReport(t); r.Event != trust.EventReverted || r.Reason != reason.HealthCheck || r.Detail != "no answer from the sensor" {
		t.Errorf("reported %+v", r)
	}
}

// A server that has not heard of the revert offers the release again, and the
// device would have to refuse it.
func TestReportsTravelBeforeTheCheck(t *testing.T) {
	d := installed(t)
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3))
	c, _ := d.mustBoot(t)
	if _, err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, _ = d.mustBoot(t)
	var asked []string
	d.server.Hook = func(w http.ResponseWriter, r *http.Request) bool {
		asked = append(asked, r.URL.Path)
		return false
	}
	if err := c.RejectFirmware(t.Context(), reason.HealthCheck, ""); err != nil {
		t.Fatal(err)
	}
	asked = nil
	c, _ = d.mustBoot(t)
	_, _ = c.Update(t.Context())
	report, check := slices.Index(asked, "/v1/report"), slices.Index(asked, "/v1/check")
	if report < 0 || check < 0 || report > check {
		t.Errorf("asked for %v, want the report before the check", asked)
	}
}

func TestWatchdogIsNamedAsTheReason(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	c, _ := d.mustBoot(t)
	if _, err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d.mustBoot(t)
	}
	cfg := d.config()
	cfg.LastReset = func() trust.Reason { return reason.WatchdogReset }
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.State().LastError != reason.WatchdogReset {
		t.Errorf("last error %v", c.State().LastError)
	}
}

func window(oldest uint32) func(*manifest.Manifest) {
	return func(m *manifest.Manifest) { m.OldestReturn = seq(oldest) }
}

func TestRollbackReturnsWithinTheSignedWindow(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.server.Publish(seq(2), "2.0.0", imageV2, window(1))
	c := d.install(t)
	if c.DeviceInfo().Retained != "1.0.0" {
		t.Fatalf("info: retained %q", c.DeviceInfo().Retained)
	}
	if err := c.RollbackFirmware(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, image := d.mustBoot(t)
	if !image.Trial || image.Entry.Version.String() != "1.0.0" {
		t.Fatalf("boots %+v", image)
	}
	if err := c.ConfirmFirmware(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.runs(t, imageV1)
	if r := d.lastReport(t); r.Event != trust.EventReverted || r.Reason != reason.OperatorRequested || r.Sequence != seq(1) {
		t.Errorf("reported %+v", r)
	}
	_, err := c.Update(t.Context())
	wantReason(t, err, trust.ErrRejectedBefore) // or it would come back at once
}

func TestRollbackOutsideTheWindowIsRefused(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	c := d.install(t)
	wantReason(t, c.RollbackFirmware(t.Context()), trust.ErrNothingRetained)
	d.server.Publish(seq(2), "2.0.0", imageV2)
	c = d.install(t)
	wantReason(t, c.RollbackFirmware(t.Context()), trust.ErrOutsideWindow)
	d.server.Publish(seq(3), "3.0.0", imageV1, window(1), func(m *manifest.Manifest) { m.SecurityCounter = 1 })
	c = d.install(t)
	wantReason(t, c.RollbackFirmware(t.Context()), trust.ErrBelowFloor)
	d.runs(t, imageV1)
}

func TestRollbackToADamagedImageIsRefused(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.server.Publish(seq(2), "2.0.0", imageV2, window(1))
	c := d.install(t)
	d.damage(t, 1-c.State().Active)
	wantReason(t, c.RollbackFirmware(t.Context()), trust.ErrImageDigest)
	d.runs(t, imageV2)
}

// damage flips a bit in a slot.
func (d device) damage(t testing.TB, n int) {
	t.Helper()
	s, err := d.config().Ops.OpenSlot(n, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.WriteAt([]byte{0xff}, 100); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedActiveSlotReturnsToTheRetainedImage(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.server.Publish(seq(2), "2.0.0", imageV2, window(1))
	c := d.install(t)
	d.damage(t, c.State().Active)
	d.runs(t, imageV1)
	c, image := d.mustBoot(t)
	if !image.Trial {
		t.Fatal("the retained image has to be confirmed, too")
	}
	if err := c.ConfirmFirmware(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := d.lastReport(t); r.Event != trust.EventReverted || r.Reason != trust.ErrImageDigest {
		t.Errorf("reported %+v", r)
	}
	d.install(t) // the release was good, only the flash was not
	d.runs(t, imageV2)
}

func TestDamagedTrialIsNotStarted(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.server.Publish(seq(2), "2.0.0", imageV2)
	c, _ := d.mustBoot(t)
	if _, err := c.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.damage(t, 1-c.State().Active)
	d.runs(t, imageV1)
}

func TestDamagedOnlyImageDoesNotBoot(t *testing.T) {
	d := newDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	c := d.install(t)
	d.damage(t, c.State().Active)
	if _, image, err := d.boot(); err == nil {
		t.Fatalf("boots %+v", image)
	}
}

func TestSlotsOnADevice(t *testing.T) {
	d := newDevice(t)
	d.slots = [2]slot.Place{{Path: "/disk", Device: true, Offset: 4096, Size: 4096}, {Path: "/disk", Device: true, Offset: 8192, Size: 4096}}
	if err := fsatomic.WriteFile(d.fs, "/disk", make([]byte, 12288), 0o600); err != nil {
		t.Fatal(err)
	}
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.server.Publish(seq(2), "2.0.0", imageV2)
	d.install(t)
	d.runs(t, imageV2)
	disk, _ := d.fs.ReadFile("/disk")
	if string(disk[:4096]) != string(make([]byte, 4096)) || len(disk) != 12288 {
		t.Error("written outside the slots")
	}
	d.server.Publish(seq(3), "3.0.0", testImage('3', 4097))
	c, _ := d.mustBoot(t)
	_, err := c.Update(t.Context())
	wantReason(t, err, trust.ErrImageSize)
	if c.State().Retained.ImageDigest.IsZero() {
		t.Error("a refusal changed something")
	}
}
