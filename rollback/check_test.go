package rollback_test

import (
	"errors"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

var (
	now      = time.Unix(1_790_000_000, 0)
	image    = manifest.Digest{2, 1, 0}
	crashed  = manifest.Digest{0xbad & 0xff}
	oldImage = manifest.Digest{2, 0, 0}
)

func parse(text string) version.Version {
	v, err := version.Parse(text)
	if err != nil {
		panic(err)
	}
	return v
}

// device is in the middle of its life: release 1.4 of version 2.0.0 confirmed,
// floor 3 in epoch 1.
func device() *rollback.State {
	s := &rollback.State{}
	s.RecordVersionUpdate(rollback.Entry{
		Sequence: manifest.NewSequence(1, 4), Version: parse("2.0.0"), SecurityCounter: 3, ImageDigest: oldImage, ImageSize: 100,
		OldestReturn: manifest.NewSequence(1, 2),
	}, now)
	s.Reject(crashed)
	return s
}

func facts() rollback.Device {
	return rollback.Device{HardwareRevision: "B", SlotSize: 1000, KeysetFloor: 2, Now: now}
}

// next is a release that the device takes.
func next() *manifest.Manifest {
	m := manifest.New("acme", "sensor_v1", manifest.NewSequence(1, 5), parse("2.1.0"))
	m.SecurityCounter = 3
	if err := m.SetImage(image, 1000); err != nil {
		panic(err)
	}
	return m
}

func downgrade(from ...uint32) func(*manifest.Manifest) {
	return func(m *manifest.Manifest) {
		m.Version, m.Flags = parse("1.0.0"), manifest.FlagDowngrade
		for _, n := range from {
			m.DowngradeFrom = append(m.DowngradeFrom, manifest.NewSequence(1, n))
		}
	}
}

// rules has, in the order of the checks, one way to break each rule and nothing
// else.
var rules = []struct {
	name  string
	want  trust.Reason
	spoil func(*manifest.Manifest)
}{
	{"hardware", trust.ErrWrongHardware, func(m *manifest.Manifest) { m.HardwareRevisions = []string{"A"} }},
	{"component", trust.ErrWrongComponent, func(m *manifest.Manifest) { m.Component = "modem" }},
	{"expiry", trust.ErrExpired, func(m *manifest.Manifest) { m.Expires = now.Add(-time.Second) }},
	{"sequence", trust.ErrOldSequence, func(m *manifest.Manifest) { m.Sequence = manifest.NewSequence(1, 3) }},
	{"downgrade", trust.ErrNotApplicable, downgrade(2, 3)},
	{"version", trust.ErrOldVersion, func(m *manifest.Manifest) { m.Version = parse("1.9.9") }},
	{"floor", trust.ErrBelowFloor, func(m *manifest.Manifest) { m.SecurityCounter = 2 }},
	{"size", trust.ErrImageSize, func(m *manifest.Manifest) { m.ImageSize = 1001 }},
	{"rejected", trust.ErrRejectedBefore, func(m *manifest.Manifest) { m.ImageDigest = crashed }},
}

func TestEachRuleRefusesAlone(t *testing.T) {
	if err := device().Check(next(), facts()); err != nil {
		t.Fatalf("the good release: %v", err)
	}
	for _, r := range rules {
		m := next()
		r.spoil(m)
		if err := device().Check(m, facts()); !errors.Is(err, r.want) {
			t.Errorf("%s: got %v, want %v", r.name, err, r.want)
		}
	}
}

func TestTheFirstRuleInOrderGivesTheReason(t *testing.T) {
	for i, first := range rules {
		for _, second := range rules[i+1:] {
			if first.name == "downgrade" && second.name == "version" {
				continue // a downgrade is not held to the version
			}
			m := next()
			second.spoil(m)
			first.spoil(m)
			if err := device().Check(m, facts()); !errors.Is(err, first.want) {
				t.Errorf("%s and %s: got %v, want %v", first.name, second.name, err, first.want)
			}
		}
	}
}

func TestWhatTheDeviceDoesNotKnowIsNotChecked(t *testing.T) {
	m := next()
	m.Expires, m.ImageSize = now.Add(-time.Hour), 1<<32-1
	d := facts()
	d.Now, d.SlotSize = time.Time{}, 0
	if err := device().Check(m, d); err != nil {
		t.Error(err)
	}
}

func TestExpiryIsTheLastSecond(t *testing.T) {
	m := next()
	m.Expires = now
	d := facts()
	d.Now = now.Add(999 * time.Millisecond)
	if err := device().Check(m, d); err != nil {
		t.Errorf("in the last second: %v", err)
	}
	d.Now = now.Add(time.Second)
	if err := device().Check(m, d); !errors.Is(err, trust.ErrExpired) {
		t.Errorf("after it: %v", err)
	}
}

func TestInstalledReleaseMayBeInstalledAgain(t *testing.T) {
	m := next()
	m.Sequence, m.Version, m.ImageDigest = manifest.NewSequence(1, 4), parse("2.0.0"), oldImage
	if err := device().Check(m, facts()); err != nil {
		t.Errorf("after a power cut: %v", err)
	}
	m.ImageDigest = image
	if err := device().Check(m, facts()); !errors.Is(err, trust.ErrOldSequence) {
		t.Errorf("the same sequence with another image: %v", err)
	}
}

func TestDowngradeGoesWhereItIsSignedForAndNotBelowTheFloor(t *testing.T) {
	m := next()
	downgrade(2, 4)(m)
	if err := device().Check(m, facts()); err != nil {
		t.Error(err)
	}
	m.SecurityCounter = 2
	if err := device().Check(m, facts()); !errors.Is(err, trust.ErrBelowFloor) {
		t.Errorf("below the floor: %v", err)
	}
	m.SecurityCounter, m.Sequence = 3, manifest.NewSequence(1, 4)
	if err := device().Check(m, facts()); !errors.Is(err, trust.ErrOldSequence) {
		t.Errorf("under the installed sequence: %v", err)
	}
}

func TestRejectedImageIsTriedAgainWhenAnAnswerAsksForIt(t *testing.T) {
	m := next()
	m.ImageDigest = crashed
	d := facts()
	d.RetryRejected = true
	if err := device().Check(m, d); err != nil {
		t.Error(err)
	}
}

func TestEmptyDeviceTakesAnyFirstRelease(t *testing.T) {
	for _, v := range []string{"0.0.0-alpha", "0.0.0", "99.0.0"} {
		m := next()
		m.Version, m.Sequence = parse(v), manifest.NewSequence(1, 1)
		if err := (&rollback.State{}).Check(m, facts()); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	m := next()
	m.SecurityCounter = 1
	if err := (&rollback.State{}).Check(m, facts()); !errors.Is(err, trust.ErrBelowFloor) {
		t.Errorf("below the keyset's floor: %v", err)
	}
}

// A counter driven to its maximum by a stolen key blocks its own epoch alone.
func TestCounterFastForwardIsRepairedByANewEpoch(t *testing.T) {
	s := device()
	s.RecordVersionUpdate(rollback.Entry{Sequence: manifest.NewSequence(1, 5), Version: parse("2.1.0"), SecurityCounter: 1<<32 - 1, ImageDigest: image}, now)
	m := next()
	m.Sequence = manifest.NewSequence(1, 6)
	if err := s.Check(m, facts()); !errors.Is(err, trust.ErrBelowFloor) {
		t.Fatalf("the same epoch: %v", err)
	}
	m.Sequence = manifest.NewSequence(2, 1)
	if err := s.Check(m, facts()); err != nil {
		t.Fatalf("the next epoch: %v", err)
	}
	m.SecurityCounter = 1
	if err := s.Check(m, facts()); !errors.Is(err, trust.ErrBelowFloor) {
		t.Errorf("the next epoch, below the keyset's floor: %v", err)
	}
	s.RecordVersionUpdate(rollback.EntryOf(next(), manifest.Digest{}), now) // of epoch 1: too late to count
	if s.Floor != (rollback.Floor{Epoch: 1, Counter: 1<<32 - 1}) {
		t.Errorf("floor %+v", s.Floor)
	}
}

func TestFloorRisesWithConfirmationAlone(t *testing.T) {
	s := device()
	m := next()
	m.SecurityCounter = 9
	before := s.Floor
	if err := s.Check(m, facts()); err != nil {
		t.Fatal(err)
	}
	s.Reject(m.ImageDigest)
	if s.Floor != before {
		t.Errorf("a check or a failed trial moved the floor to %+v", s.Floor)
	}
	s.RecordVersionUpdate(rollback.EntryOf(m, manifest.Digest{}), now)
	if s.Floor.Counter != 9 {
		t.Errorf("floor %+v after the confirmation", s.Floor)
	}
	m.SecurityCounter = 5
	s.RecordVersionUpdate(rollback.EntryOf(m, manifest.Digest{}), now)
	if s.Floor.Counter != 9 {
		t.Errorf("the floor fell to %+v", s.Floor)
	}
}

func TestReturnIsHeldToWindowAndFloor(t *testing.T) {
	retained := rollback.Entry{
		Sequence: manifest.NewSequence(1, 3), Version: parse("1.9.0"), SecurityCounter: 3, ImageDigest: manifest.Digest{1, 9}, ConfirmedAt: now,
	}
	if err := device().CheckReturn(retained, 2); err != nil {
		t.Fatalf("within the window: %v", err)
	}
	for name, c := range map[string]struct {
		want  trust.Reason
		spoil func(*rollback.State, *rollback.Entry)
	}{
		"nothing retained":    {trust.ErrNothingRetained, func(_ *rollback.State, e *rollback.Entry) { *e = rollback.Entry{} }},
		"never confirmed":     {trust.ErrNothingRetained, func(_ *rollback.State, e *rollback.Entry) { e.ConfirmedAt = time.Time{} }},
		"before the window":   {trust.ErrOutsideWindow, func(_ *rollback.State, e *rollback.Entry) { e.Sequence = manifest.NewSequence(1, 1) }},
		"no window signed":    {trust.ErrOutsideWindow, func(s *rollback.State, _ *rollback.Entry) { s.Installed.OldestReturn = 0 }},
		"below the floor":     {trust.ErrBelowFloor, func(_ *rollback.State, e *rollback.Entry) { e.SecurityCounter = 2 }},
		"keyset floor raised": {trust.ErrBelowFloor, func(_ *rollback.State, e *rollback.Entry) { e.SecurityCounter = 3 }},
	} {
		s, e := device(), retained
		c.spoil(s, &e)
		floor := uint32(2)
		if name == "keyset floor raised" {
			floor = 4
		}
		if err := s.CheckReturn(e, floor); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestReturnLeavesTheFloor(t *testing.T) {
	s := device()
	floor := s.Floor
	e := rollback.Entry{Sequence: manifest.NewSequence(1, 3), Version: parse("1.9.0"), SecurityCounter: 3, ImageDigest: manifest.Digest{1, 9}, ConfirmedAt: now}
	s.RecordReturn(e)
	if s.Floor != floor || s.Installed != e {
		t.Errorf("floor %+v, installed %+v", s.Floor, s.Installed)
	}
}
