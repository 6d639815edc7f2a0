package rollback_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
)

func TestHistoryRejectedAndPermitsAreBounded(t *testing.T) {
	s := &rollback.State{}
	for i := range uint32(rollback.MaxHistory + 10) {
		s.RecordVersionUpdate(rollback.Entry{Sequence: manifest.NewSequence(1, i+1), Version: parse("1.0.0")}, now)
		s.Reject(manifest.Digest{byte(i), byte(i >> 8), 1})
		if _, err := s.AllowRollbackTo(parse("1.0.0"), "ann", "test", 0, now); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.History) != rollback.MaxHistory || s.History[0].Sequence.Number() != 11 {
		t.Errorf("%d entries of history, the oldest %v", len(s.History), s.History[0].Sequence)
	}
	if len(s.Rejected) != rollback.MaxRejected || len(s.Permits) != rollback.MaxPermits {
		t.Errorf("%d rejected, %d permits", len(s.Rejected), len(s.Permits))
	}
}

func TestRejectingTwiceRemembersOnceAndConfirmingForgets(t *testing.T) {
	s := &rollback.State{}
	a, b := manifest.Digest{1}, manifest.Digest{2}
	s.Reject(a)
	s.Reject(b)
	s.Reject(a)
	if !slices.Equal(s.Rejected, []manifest.Digest{b, a}) {
		t.Fatalf("rejected %v", s.Rejected)
	}
	s.RecordVersionUpdate(rollback.Entry{Sequence: 1<<32 | 1, Version: parse("1.0.0"), ImageDigest: b}, now)
	if !slices.Equal(s.Rejected, []manifest.Digest{a}) {
		t.Errorf("rejected %v after %v was confirmed", s.Rejected, b)
	}
}

func TestAllowRollbackTo(t *testing.T) {
	s := &rollback.State{}
	for i, r := range []struct {
		version string
		counter uint32
	}{{"1.0.0", 0}, {"1.1.0", 1}, {"1.2.0", 1}, {"1.0.0", 1}} {
		s.RecordVersionUpdate(rollback.Entry{Sequence: manifest.NewSequence(1, uint32(i+1)), Version: parse(r.version), SecurityCounter: r.counter}, now)
	}
	permit, err := s.AllowRollbackTo(parse("1.1.0"), "ann", "the sensor drifts", 0, now)
	if err != nil || permit.By != "ann" || permit.Reason != "the sensor drifts" || !permit.At.Equal(now) || len(s.Permits) != 1 {
		t.Errorf("permit %+v, %v", permit, err)
	}
	if _, err := s.AllowRollbackTo(parse("1.0.0"), "ann", "released again under counter 1", 0, now); err != nil {
		t.Errorf("the newest release of a version counts: %v", err)
	}
	if _, err := s.AllowRollbackTo(parse("9.0.0"), "ann", "", 0, now); !errors.Is(err, trust.ErrNothingRetained) {
		t.Errorf("never released: %v", err)
	}
	if _, err := s.AllowRollbackTo(parse("1.1.0"), "ann", "", 2, now); !errors.Is(err, trust.ErrBelowFloor) {
		t.Errorf("below the keyset's floor: %v", err)
	}
	if err := s.RaiseMinimum(parse("1.2.0")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AllowRollbackTo(parse("1.1.0"), "ann", "", 0, now); !errors.Is(err, trust.ErrOldVersion) {
		t.Errorf("below the minimum version: %v", err)
	}
	if err := s.RaiseMinimum(parse("1.1.0")); !errors.Is(err, trust.ErrOldVersion) {
		t.Errorf("the minimum version falls: %v", err)
	}
	if len(s.Permits) != 2 {
		t.Errorf("a refusal left a permit: %+v", s.Permits)
	}
}
