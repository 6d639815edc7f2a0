package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Servers have the first core to themselves as far as we are concerned, and we
// have another.
const (
	serverCore = "0"
	clientCore = 1
)

// A process is a server under measurement, pinned to one core.
type process struct {
	pid     int
	first   string        // line of its standard output
	startup time.Duration // until it came
}

// start starts a pinned process, waits for its first line of output if it is
// to say one, and ends it with the test.
func start(t testing.TB, env []string, says bool, args ...string) *process {
	t.Helper()
	cmd := exec.Command("taskset", append([]string{"-c", serverCore}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{pid: cmd.Process.Pid}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	if says {
		if p.first, err = bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("%s says nothing: %v", filepath.Base(args[0]), err)
		}
		p.first, p.startup = strings.TrimSpace(p.first), time.Since(began)
	}
	return p
}

// cpu returns the CPU time, user and system, that the process has used so far.
func (p *process) cpu(t testing.TB) time.Duration {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("process %d has ended", p.pid)
	}
	var sum time.Duration
	for _, name := range threads {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that has just ended
		}
		ns, err := strconv.ParseInt(string(bytes.Fields(raw)[0]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// rss returns the memory of the process that is in RAM, in bytes.
func (p *process) rss(t testing.TB) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no VmRSS of process %d", p.pid)
	return 0
}
