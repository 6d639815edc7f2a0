package crashfs

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Error(args ...any) { r.failures = append(r.failures, args[0].(string)) }

func twoDirs(f fsatomic.FS) error {
	if err := f.Mkdir("/a", 0o700); err != nil {
		return err
	}
	return f.Mkdir("/b", 0o700)
}

func TestSweepCutsEveryOperationInEveryMode(t *testing.T) {
	at, acknowledged := map[int]int{}, 0
	points := Sweep(t, nil, twoDirs, func(_ testing.TB, _ *FS, crashedAt int, ack bool) {
		at[crashedAt]++
		if ack {
			acknowledged++
		}
	})
	const reboots = 5 + 2*4 // modes and their seeds
	if at[1] != 5*reboots || at[2] != 5*reboots || at[3] != reboots || points != 11*reboots {
		t.Errorf("%d points: %v", points, at)
	}
	if acknowledged != reboots {
		t.Errorf("%d points acknowledged, want those after the end, %d", acknowledged, reboots)
	}
}

func TestSweepEveryComesToEachKindOfCut(t *testing.T) {
	t.Setenv("OTA_LONG", "")
	run := func(f fsatomic.FS) error {
		for i := range 20 {
			if err := f.Mkdir(fmt.Sprintf("/%02d", i), 0o700); err != nil {
				return err
			}
		}
		return nil
	}
	where := map[string]bool{}
	points := SweepEvery(t, 7, nil, run, func(t testing.TB, _ *FS, at int, _ bool) {
		where[strings.Fields(t.(*point).where)[2]] = true
	})
	const reboots = 5 + 2*4
	if points != (100/7+1)*reboots || len(where) != 3 {
		t.Errorf("%d points, at %v", points, where)
	}
	t.Setenv("OTA_LONG", "1")
	if all := SweepEvery(t, 7, nil, run, func(testing.TB, *FS, int, bool) {}); all != 101*reboots {
		t.Errorf("%d points with OTA_LONG, want all", all)
	}
}

func TestSweepSaysWhereItFailedAndGivesUp(t *testing.T) {
	r := &recorder{TB: t}
	Sweep(r, nil, twoDirs, func(t testing.TB, _ *FS, _ int, _ bool) { t.Errorf("wrong by %d", 7) })
	if len(r.failures) < maxFailures || len(r.failures) > 3*maxFailures*len(Modes()) {
		t.Fatalf("%d failures", len(r.failures))
	}
	for _, want := range []string{"before operation 1 of 2", "found Lost", "power lost", "wrong by 7"} {
		if !strings.Contains(r.failures[0], want) {
			t.Errorf("%q does not say %q", r.failures[0], want)
		}
	}
}

func TestSweepFaultsFailsEveryOperationOnce(t *testing.T) {
	run := func(f fsatomic.FS) error {
		if _, err := f.Stat("/"); err != nil {
			return err
		}
		return twoDirs(f)
	}
	failed := 0
	points := SweepFaults(t, []error{syscall.EIO, syscall.ENOSPC}, nil, run, func(_ testing.TB, _ *FS, _, result error) {
		if result != nil {
			failed++
		}
	})
	if points != 6 || failed != 6 {
		t.Errorf("%d points, %d failed, want 6", points, failed)
	}
}
