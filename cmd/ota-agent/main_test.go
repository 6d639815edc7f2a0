package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent/testserver"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// asAgent in the environment makes the test's own binary an ota-agent, so that
// tests can start real processes and kill them.
const asAgent = "OTA_AGENT_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" {
		main()
	}
	os.Exit(m.Run())
}

const id = "gw-1"

var author = testserver.NewAuthor("acme", "gateway")

// A rig is a directory in which an agent lives, and its server.
type rig struct {
	t      testing.TB
	dir    string
	server *testserver.Server
	http   *httptest.Server
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), server: testserver.New(author)}
	r.http = httptest.NewTLSServer(r.server)
	t.Cleanup(r.http.Close)
	r.write("device.json", mustJSON(t, r.server.AddDevice(id, 1)))
	return r
}

func (r *rig) fingerprint() string {
	sum := sha256.Sum256(r.http.Certificate().Raw)
	return hex.EncodeToString(sum[:])
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name string, data []byte) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), data, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// agent runs a command in this process.
func (r *rig) agent(args ...string) (code int, stdout, stderr string) {
	r.t.Helper()
	var out, errs bytes.Buffer
	code = run(r.t.Context(), append(args, "--config", r.path("config.json")), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// must runs a command that has to succeed.
func (r *rig) must(args ...string) string {
	r.t.Helper()
	code, stdout, stderr := r.agent(args...)
	if code != exitFine {
		r.t.Fatalf("ota-agent %s: exit %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// provision makes the device; change has its way with the configuration.
func (r *rig) provision(change func(map[string]any)) {
	r.t.Helper()
	r.must("provision", r.path("device.json"), "--server", r.http.URL, "--fingerprint", r.fingerprint(), "--storage", r.path("storage"))
	raw, err := os.ReadFile(r.path("config.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	cfg := map[string]any{}
	if err := json.Unmarshal(raw, &cfg); err != nil {
		r.t.Fatal(err)
	}
	cfg["max_poll_sec"] = 0.05
	if change != nil {
		change(cfg)
	}
	r.write("config.json", mustJSON(r.t, cfg))
}

func (r *rig) status() (info client.Info) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.must("status", "--json")), &info); err != nil {
		r.t.Fatal(err)
	}
	return info
}

// process starts a real ota-agent process.
func (r *rig) process(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append(args, "--config", r.path("config.json"))...)
	cmd.Env = append(os.Environ(), asAgent+"=1")
	if testing.Verbose() {
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	}
	return cmd
}

// firmware is a program of a version that notes that it runs, and is healthy or not.
func (r *rig) firmware(version string, healthy bool) []byte {
	exit := 0
	if !healthy {
		exit = 1
	}
	return fmt.Appendf(nil, `#!/bin/sh
# firmware %[1]s
[ "$1" = --health ] && exit %[2]d
echo %[1]s > %[3]s
trap 'exit 0' TERM
while :; do sleep 0.05; done
`, version, exit, r.path("running"))
}

func (r *rig) publish(n uint32, version string, healthy bool) {
	r.server.Publish(manifest.NewSequence(1, n), version, r.firmware(version, healthy), func(m *manifest.Manifest) {
		m.OldestReturn = manifest.NewSequence(1, 1)
	})
}

// wait waits until something is so.
func (r *rig) wait(what string, so func() bool) {
	r.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if so() {
			return
		}
	}
	r.t.Fatalf("waited in vain: %s\n%+v", what, r.status())
}

func (r *rig) running() string {
	raw, _ := os.ReadFile(r.path("running"))
	return strings.TrimSpace(string(raw))
}

func (r *rig) reported(event trust.Event, n uint32) bool {
	for _, rep := range r.server.Reports(id) {
		if rep.Event == event && rep.Sequence == manifest.NewSequence(1, n) {
			return true
		}
	}
	return false
}

// supervised starts the daemon and ends it with the test.
func (r *rig) supervised() {
	r.t.Helper()
	cmd := r.process("supervise", "--verbose")
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			r.t.Errorf("supervise ended with %v", err)
		}
	})
}

func healthCommand(cfg map[string]any) {
	cfg["trial"] = map[string]any{
		"health": []string{"{image}", "--health"}, "settle_sec": 0.2, "deadline_sec": 1.0, "interval_sec": 0.05, "stop_wait_sec": 2.0,
	}
}

func TestSupervisedProgramIsUpdatedRevertedAndRolledBack(t *testing.T) {
	r := newRig(t)
	r.provision(healthCommand)
	r.publish(1, "1.0.0", true)
	r.supervised()
	r.wait("1.0.0 confirmed", func() bool { return r.running() == "1.0.0" && r.reported(trust.EventConfirmed, 1) })

	r.publish(2, "1.1.0", true)
	r.wait("1.1.0 confirmed", func() bool { return r.running() == "1.1.0" && r.reported(trust.EventConfirmed, 2) })

	r.must("rollback") // an order to the running daemon
	r.wait("back at 1.0.0", func() bool { return r.running() == "1.0.0" && r.reported(trust.EventReverted, 1) })

	r.publish(3, "1.2.0", false)
	r.wait("1.2.0 reverted", func() bool { return r.status().Reverted && r.running() == "1.0.0" })
	if info := r.status(); info.Version != "1.0.0" || info.LastError != "health check failed" && info.LastError != "image was rejected before" {
		t.Errorf("status %+v", info)
	}
	if code, _, stderr := r.agent("confirm"); code != exitRefused || !strings.Contains(stderr, "no image is on trial") {
		t.Errorf("confirm without a trial: exit %d, %s", code, stderr)
	}
	for _, p := range r.server.Problems() {
		t.Error(p)
	}
}

func TestCommandsOneByOne(t *testing.T) {
	r := newRig(t)
	r.provision(nil)
	if out := r.must("once"); !strings.Contains(out, "nothing is offered") {
		t.Error(out)
	}
	if code, _, stderr := r.agent("boot"); code != exitRefused || !strings.Contains(stderr, "nothing was installed") {
		t.Errorf("boot of an empty device: exit %d, %s", code, stderr)
	}
	r.publish(1, "1.0.0", true)
	if out := r.must("once"); !strings.Contains(out, "1.0.0 is installed in the other slot") {
		t.Error(out)
	}
	if out := r.must("boot", "--print"); !strings.HasSuffix(strings.TrimSpace(out), "slot.b") {
		t.Errorf("boot: %q", out)
	}
	r.must("confirm")
	if info := r.status(); info.Version != "1.0.0" || info.Slot != "b" {
		t.Errorf("status %+v", info)
	}
	r.publish(2, "2.0.0", true)
	r.must("--once")
	r.must("reject")
	if code, _, stderr := r.agent("once"); code != exitRefused || !strings.Contains(stderr, "rejected before") {
		t.Errorf("a rejected image: exit %d, %s", code, stderr)
	}
	if code, _, _ := r.agent("rollback"); code != exitRefused {
		t.Errorf("rollback to nothing: exit %d", code)
	}
	if out := r.must("status"); !strings.Contains(out, "installed") || !strings.Contains(out, "1.0.0") {
		t.Error(out)
	}
}

func TestEnrolment(t *testing.T) {
	r := newRig(t)
	r.server.AddCode("AAAA-BBBB", r.server.AddDevice("gw-2", 1))
	common := []string{"enrol", "--server", r.http.URL, "--storage", r.path("storage"), "--hardware-revision", "C"}
	wrong := strings.Repeat("00", 32)
	for _, try := range []struct {
		want string
		args []string
	}{
		{"fingerprint or CA", []string{"--code", "AAAA-BBBB"}},
		{"want the 64 hex digits", []string{"--code", "AAAA-BBBB", "--fingerprint", "12:34"}},
		{"not the pinned one", []string{"--code", "AAAA-BBBB", "--fingerprint", wrong}},
		{"device add --enrol", []string{"--code", "AAAA-CCCC", "--fingerprint", r.fingerprint()}},
	} {
		if code, _, stderr := r.agent(append(common, try.args...)...); code != exitRefused || !strings.Contains(stderr, try.want) {
			t.Errorf("want %q: exit %d, %s", try.want, code, stderr)
		}
	}
	out := r.must(append(common, "--code", "AAAA-BBBB", "--fingerprint", r.fingerprint())...)
	if !strings.Contains(out, "This is device gw-2 of type gateway now, level 1") {
		t.Error(out)
	}
	info, err := os.Stat(r.path("storage/device.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret: %v, %v", info.Mode(), err)
	}
	r.must("once")
	if r.server.LastCheck("gw-2").HardwareRevision != "C" {
		t.Error("the hardware revision is lost")
	}
}

// What is refused must not turn a device to another server.
func TestRefusedProvisioningLeavesTheConfiguration(t *testing.T) {
	r := newRig(t)
	r.provision(nil)
	before, err := os.ReadFile(r.path("config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"provision", r.path("device.json"), "--server", "https://127.0.0.1:1"},
		{"enrol", "--server", "https://127.0.0.1:1", "--code", "AAAA-BBBB", "--fingerprint", strings.Repeat("00", 32)},
	} {
		if code, _, stderr := r.agent(args...); code != exitRefused {
			t.Fatalf("exit %d, %s", code, stderr)
		}
		var was, is any
		after, err := os.ReadFile(r.path("config.json"))
		if err := errors.Join(err, json.Unmarshal(before, &was), json.Unmarshal(after, &is)); err != nil || !reflect.DeepEqual(was, is) {
			t.Errorf("%s: the configuration is now %s, %v", args[0], after, err)
		}
	}
}

func TestOpenPermissionsAreRefused(t *testing.T) {
	r := newRig(t)
	r.provision(nil)
	if err := os.Chmod(r.path("storage/device.json"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"once", "run", "supervise", "boot", "status"} {
		if code, _, stderr := r.agent(command); code != exitRefused || !strings.Contains(stderr, "permissions are too open") {
			t.Errorf("%s: exit %d, %s", command, code, stderr)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"fly"}, {"run", "--wings"}, {"status", "x"}, {"enrol"}, {"provision"}, {"help", "fly"}} {
		var out, errs bytes.Buffer
		args = append(args, "--config=/nonexistent")
		if len(args) == 1 {
			args = nil
		}
		if code := run(t.Context(), args, nil, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%q: exit %d, %s", args, code, errs.String())
		}
	}
	for _, c := range commands() {
		var out bytes.Buffer
		if code := run(t.Context(), []string{"help", c.name}, nil, &out, &out); code != exitFine || !strings.Contains(out.String(), "Usage: ota-agent "+c.name) {
			t.Errorf("help %s: exit %d, %s", c.name, code, out.String())
		}
	}
	var out bytes.Buffer
	if code := run(context.Background(), []string{"status", "--config=/nonexistent"}, nil, &out, &out); code != exitRefused {
		t.Errorf("without a configuration: exit %d", code)
	}
}
