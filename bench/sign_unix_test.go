//go:build unix

package bench

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

const maxPeak = 16 << 20 // bytes of memory for a signature, whatever the file's size

// A goal is the most CPU of ours for one of OpenSSL's, by size of the file. A
// ratio over it is printed as missed; what fails the test is one over the
// slack, too, which no noise of a shared machine explains.
type goal struct {
	size         int64
	rounds       int
	sign, verify float64
	slack        float64
}

func goals() []goal {
	return []goal{
		{1 << 20, 101, 1.0, 0.85, 1.4}, // milliseconds, most of them the start of the process
		{64 << 20, 21, 1.0, 1.0, 1.1},
		{1 << 30, 5, 1.0, 1.0, 1.1},
	}
}

// TestSignCPU measures the CPU time, user and system, of whole processes, the
// start of the program included: signing and verifying a file with ours and
// with openssl dgst, in turn, the order reversed in every other round.
func TestSignCPU(t *testing.T) {
	openssl := testenv.Tool(t, "openssl", "openssl")
	dir := t.TempDir()
	ota := filepath.Join(dir, "ota")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", ota, "../cmd/ota") // as the Makefile does
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build ota: %v\n%s", err, out)
	}
	private, public := filepath.Join(dir, "private.pem"), filepath.Join(dir, "public.pem")
	run(t, openssl, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private)
	run(t, openssl, "pkey", "-in", private, "-pubout", "-out", public)
	if err := os.Chmod(private, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "firmware.bin")
	ourSig, theirSig := file+".sig", file+".openssl.sig"
	pss := []string{"-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"}
	dgst := func(args ...string) []string { return append(append([]string{openssl, "dgst"}, pss...), args...) }

	t.Logf("CPU ms of one process, median of 5 to 101 rounds: ota, openssl dgst, ratio (goal), peak of ota")
	for _, g := range goals() {
		if (raceEnabled || testing.Short()) && g.size > 1<<20 {
			continue
		}
		grow(t, file, g.size)
		compare(t, g, "sign", g.sign,
			[]string{ota, "sign", file, "--key", private, "-o", ourSig},
			dgst("-sign", private, "-out", theirSig, file))
		compare(t, g, "verify", g.verify,
			[]string{ota, "verify", file, "--public-key", public, "--signature", theirSig},
			dgst("-verify", public, "-signature", ourSig, file))
	}
}

func compare(t *testing.T, g goal, what string, goal float64, ours, theirs []string) {
	t.Helper()
	var our, their []time.Duration
	for i := range g.rounds {
		mine := func() { our = append(our, measure(t, ours)) }
		other := func() { their = append(their, measure(t, theirs)) }
		if i%2 == 0 {
			mine()
			other()
		} else {
			other()
			mine()
		}
	}
	a, b, peak := median(our), median(their), peakOf(t, ours)
	ratio := float64(a) / float64(b)
	verdict := ""
	if ratio > goal {
		verdict = "  missed"
	}
	t.Logf("%-6s %5d MiB  %9.2f %9.2f  %.2f (%.2f)  %4.1f MiB%s", what, g.size>>20, ms(a), ms(b), ratio, goal, float64(peak)/(1<<20), verdict)
	if raceEnabled {
		return // beside other tests
	}
	if ratio > goal*g.slack {
		t.Errorf("%s of %d MiB takes %.2f of openssl's CPU, goal %.2f", what, g.size>>20, ratio, goal)
	}
	if peak > maxPeak {
		t.Errorf("%s of %d MiB takes %d bytes of memory, goal %d", what, g.size>>20, peak, maxPeak)
	}
}

// measure runs a command to its end and returns its CPU time.
func measure(t *testing.T, argv []string) (cpu time.Duration) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// peakOf runs a command to its end and returns how much memory it had at most,
// 0 where that is not measured. It is a child of time(1): one of this process
// begins in our memory, which Linux counts as its own.
func peakOf(t *testing.T, argv []string) (bytes int64) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	report := filepath.Join(t.TempDir(), "peak")
	run(t, testenv.Tool(t, "time", "time"), append([]string{"-f", "%M", "-o", report}, argv...)...)
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	kib, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

func median[T cmp.Ordered](d []T) T {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// grow makes a file of size bytes that are neither holes nor all the same.
func grow(t *testing.T, name string, size int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 1<<20)
	for i := range chunk {
		chunk[i] = byte(i * i >> 8)
	}
	for written := int64(0); written < size; written += int64(len(chunk)) {
		copy(chunk, fmt.Sprintf("%016x", written))
		if _, err := f.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil { // or whoever syncs next would pay for it
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
