package fleet

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secure-ota/secure-ota/internal/store"
)

// BenchmarkSeen is what a fleet of a million devices that check once an hour
// costs every five seconds: bytes that are written, and CPU time for each
// check. -benchtime 720x is an hour.
func BenchmarkSeen(b *testing.B) {
	const count, checks = 1_000_000, 1_000_000 * int(seenInterval/time.Second) / 3600
	f := millionDevices(b, count)
	random, now := rand.New(rand.NewPCG(1, 2)), time.Now()
	refs := make([]Device, checks)
	b.ResetTimer()
	var written, cpu int64
	for i := range b.N {
		for j := range refs {
			refs[j] = Device{number: uint32(1 + random.IntN(count)), Generation: 1}
		}
		now = now.Add(seenInterval)
		for j := range refs {
			at := now.Add(time.Duration(random.Int64N(int64(seenInterval))))
			f.table.saw(refs[j].number, at)
			f.table.claim(&refs[j], uint64(1000+i))
		}
		writtenBefore, cpuBefore := ioWritten(b), cpuTime(b)
		if err := f.syncSeen(b.Context()); err != nil {
			b.Fatal(err)
		}
		written, cpu = written+ioWritten(b)-writtenBefore, cpu+cpuTime(b)-cpuBefore
	}
	b.ReportMetric(float64(written)/float64(b.N), "B-written/op")
	b.ReportMetric(float64(cpu)/float64(b.N*checks), "cpu-ns/check")
}

// millionDevices returns a fleet whose devices are in memory only: what is
// measured does not read them.
func millionDevices(b *testing.B, count int) *Fleet {
	b.Helper()
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "ota.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	f := &Fleet{cfg: Config{Log: slog.New(slog.DiscardHandler)}.withDefaults(), db: db, table: newTable(), loaded: make(chan struct{})}
	close(f.loaded)
	for i := range count {
		d := Device{Ref: Ref{testType, fmt.Sprintf("dev-%07d", i)}, Generation: 1, Level: Keyed, revision: 1, number: uint32(i + 1)}
		if err := f.table.put(&d); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

// ioWritten returns how many bytes the process has handed to the system.
func ioWritten(b *testing.B) (n int64) {
	b.Helper()
	raw, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(raw), "rchar: %d\nwchar: %d", new(int64), &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// cpuTime returns the CPU time of the process, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}
