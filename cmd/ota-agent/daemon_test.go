package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/trust"
)

// A device that boots as a whole: the daemon asks for a reboot, and after it
// judges the image that runs.
func TestRunRebootsIntoATrialAndJudgesIt(t *testing.T) {
	for name, healthy := range map[string]bool{"healthy": true, "broken": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.provision(func(cfg map[string]any) {
				healthCommand(cfg)
				cfg["reboot"] = []string{"/bin/sh", "-c", "echo reboot >> " + r.path("reboots")}
			})
			r.publish(1, "1.0.0", true)
			r.must("once")
			r.must("boot", "--print")
			r.must("once")

			r.publish(2, "2.0.0", healthy)
			r.runUntilReboot(1)
			r.must("boot", "--print") // the boot loader's part
			if healthy {
				stop := r.start("run")
				r.wait("2.0.0 confirmed", func() bool { return r.reported(trust.EventConfirmed, 2) })
				stop()
				return
			}
			r.runUntilReboot(2)
			r.must("boot", "--print")
			stop := r.start("run")
			r.wait("2.0.0 reverted", func() bool { return r.reported(trust.EventReverted, 1) })
			stop()
		})
	}
}

// start starts a daemon and returns what ends it.
func (r *rig) start(command string) (stop func()) {
	r.t.Helper()
	cmd := r.process(command)
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			r.t.Errorf("%s ended with %v", command, err)
		}
	}
}

func (r *rig) runUntilReboot(n int) {
	r.t.Helper()
	stop := r.start("run")
	r.wait("a reboot", func() bool {
		raw, _ := os.ReadFile(r.path("reboots"))
		return strings.Count(string(raw), "reboot") == n
	})
	stop()
}

// A trial image that exits at once, and one that never becomes healthy, are
// both gone when their tries or their time run out; so is one whose agent is
// killed again and again.
func TestAgentKilledInEveryTrialStillReverts(t *testing.T) {
	r := newRig(t)
	r.provision(func(cfg map[string]any) {
		healthCommand(cfg)
		cfg["trial"].(map[string]any)["settle_sec"] = 60.0
	})
	r.publish(1, "1.0.0", true)
	r.must("once")
	r.must("boot", "--print")
	r.must("once")
	r.publish(2, "2.0.0", true)
	r.must("once")
	for range 3 {
		cmd := r.process("supervise")
		os.Remove(r.path("running"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r.wait("2.0.0 on trial", func() bool { return r.running() == "2.0.0" })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	stop := r.start("supervise")
	r.wait("2.0.0 reverted", func() bool { return r.running() == "1.0.0" && r.reported(trust.EventReverted, 1) })
	stop()
}

func TestTwoAgentsDoNotShareADevice(t *testing.T) {
	r := newRig(t)
	r.provision(nil)
	r.publish(1, "1.0.0", true)
	stop := r.start("supervise")
	defer stop()
	r.wait("1.0.0 runs", func() bool { return r.running() == "1.0.0" })
	if code, _, stderr := r.agent("once"); code != exitRefused || !strings.Contains(stderr, "another ota-agent uses this device") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	r.write("device2.json", mustJSON(t, r.server.AddDevice(id, 2)))
	if code, _, stderr := r.agent("provision", r.path("device2.json"), "--server", r.http.URL); code != exitRefused || !strings.Contains(stderr, "stop it first") {
		t.Errorf("provision beside a daemon: exit %d, %s", code, stderr)
	}
}
