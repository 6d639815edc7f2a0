package crashfs

import (
	"fmt"
	"os"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// maxFailures is after how many failed points a sweep gives up: more would say the same.
const maxFailures = 5

// Sweep runs run once for every mutating operation it makes, with a power cut before, during and after that
// operation, and once with the cut after run has returned. For every [Mode] and a few
// seeds it then calls check with the file system found after the reboot, where crashedAt is the number of
// the operation and acknowledged whether run returned nil, after which its effect must be there.
//
// build, which may be nil, makes what is there, durably, before run; run must make the same operations
// each time. Failures reported through the t of check name the point. Sweep returns how many points it checked.
func Sweep(t testing.TB, build func(fs *FS), run func(fs fsatomic.FS) error,
	check func(t testing.TB, fs *FS, crashedAt int, acknowledged bool),
) int {
	t.Helper()
	return SweepEvery(t, 1, build, run, check)
}

// SweepEvery is Sweep with every stride-th of its cuts, and the one after run has returned. A stride that has no
// divisor in common with the five cuts of an operation comes to each of them, and with OTA_LONG=1 it is 1.
func SweepEvery(t testing.TB, stride int, build func(fs *FS), run func(fs fsatomic.FS) error,
	check func(t testing.TB, fs *FS, crashedAt int, acknowledged bool),
) int {
	t.Helper()
	if os.Getenv("OTA_LONG") != "" {
		stride = 1
	}
	total := countOps(build, run).Ops()
	points, failures := 0, 0
	try := func(at int, cut Cut, cutSeed uint64) {
		fs := prepare(build)
		fs.CrashAt(at, cut, cutSeed)
		err := run(fs)
		if fs.Crashed() != (at <= total) {
			t.Fatalf("run made %d operations once, and now %d: it can not be swept", total, fs.Ops())
		}
		for _, mode := range Modes() {
			for seed := range mode.seeds() {
				p := &point{TB: t, where: fmt.Sprintf("power cut %v operation %d of %d (seed %d), found %v (seed %d), run returned %v",
					cut, at, total, cutSeed, mode, seed, err)}
				check(p, fs.Reboot(mode, seed), at, err == nil)
				points++
				if p.failed {
					failures++
				}
			}
		}
	}
	tried := 0
	for at := 1; at <= total; at++ {
		for cut := range cuts {
			for seed := range cut.seeds() {
				if tried++; tried%stride == 0 && failures < maxFailures {
					try(at, cut, seed)
				}
			}
		}
	}
	if failures < maxFailures {
		try(total+1, Before, 0)
	}
	t.Logf("%d power cuts checked, at %d operations", points, total)
	return points
}

// SweepFaults runs run with each of its operations, mutating and reading, failing once with each of errs. check gets
// the file system as it is then, the error injected and the result of run. It may run again
// on it, or reboot it. SweepFaults returns how many points it checked.
func SweepFaults(t testing.TB, errs []error, build func(fs *FS), run func(fs fsatomic.FS) error,
	check func(t testing.TB, fs *FS, injected, result error),
) int {
	t.Helper()
	clean := countOps(build, run)
	points, failures := 0, 0
	try := func(where string, injected error, arm func(fs *FS)) {
		if failures >= maxFailures {
			return
		}
		fs := prepare(build)
		arm(fs)
		result := run(fs)
		p := &point{TB: t, where: fmt.Sprintf("%s fails with %q, run returned %v", where, injected, result)}
		check(p, fs, injected, result)
		points++
		if p.failed {
			failures++
		}
	}
	for _, err := range errs {
		for at := 1; at <= clean.Ops(); at++ {
			try(fmt.Sprintf("operation %d of %d", at, clean.Ops()), err, func(fs *FS) { fs.FailAt(at, err) })
		}
		for at := 1; at <= clean.Reads(); at++ {
			try(fmt.Sprintf("read %d of %d", at, clean.Reads()), err, func(fs *FS) { fs.FailReadAt(at, err) })
		}
	}
	t.Logf("%d faults checked, in %d operations and %d reads", points, clean.Ops(), clean.Reads())
	return points
}

func prepare(build func(fs *FS)) *FS {
	fs := New()
	if build != nil {
		build(fs)
	}
	fs.Settle()
	return fs
}

// countOps runs once undisturbed. An error of run is fine: refusing is tested, too.
func countOps(build func(fs *FS), run func(fs fsatomic.FS) error) *FS {
	fs := prepare(build)
	_ = run(fs)
	return fs
}

// point is the testing.TB of one point of a sweep: it says where it fails.
type point struct {
	testing.TB
	where  string
	failed bool
}

func (p *point) report(fail func(...any), args ...any) {
	p.TB.Helper()
	p.failed = true
	fail(p.where + ": " + fmt.Sprint(args...))
}

func (p *point) Error(args ...any) { p.TB.Helper(); p.report(p.TB.Error, args...) }
func (p *point) Fatal(args ...any) { p.TB.Helper(); p.report(p.TB.Fatal, args...) }
func (p *point) Errorf(format string, args ...any) {
	p.TB.Helper()
	p.report(p.TB.Error, fmt.Sprintf(format, args...))
}
func (p *point) Fatalf(format string, args ...any) {
	p.TB.Helper()
	p.report(p.TB.Fatal, fmt.Sprintf(format, args...))
}
