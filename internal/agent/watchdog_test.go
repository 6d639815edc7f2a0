package agent

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
)

func testAgent(cfg Config) *Agent {
	a := &Agent{cfg: cfg, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	a.alive()
	return a
}

func TestHardwareWatchdogIsFedAndDisarmed(t *testing.T) {
	device := filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := testAgent(Config{Watchdog: Watchdog{Device: device, Interval: 0.01}})
	ctx, cancel := context.WithCancel(t.Context())
	done := a.feed(ctx)
	time.Sleep(100 * time.Millisecond)
	cancel()
	<-done
	raw, err := os.ReadFile(device)
	if err != nil || len(raw) < 4 || strings.Count(string(raw), "V") != 1 || raw[len(raw)-1] != 'V' {
		t.Errorf("wrote %q, %v: want keepalives and then the magic close", raw, err)
	}
}

func TestStuckAgentIsNotFed(t *testing.T) {
	device := filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := testAgent(Config{Watchdog: Watchdog{Device: device, Interval: 0.01}})
	a.beat.Store(time.Now().Add(-2 * stuck).UnixNano())
	ctx, cancel := context.WithCancel(t.Context())
	done := a.feed(ctx)
	time.Sleep(50 * time.Millisecond)
	if raw, _ := os.ReadFile(device); len(raw) != 0 {
		t.Errorf("fed %d times", len(raw))
	}
	cancel()
	<-done
}

func TestSystemdIsToldAndItsWatchdogFed(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "20000")
	if systemdInterval() != 10*time.Millisecond {
		t.Errorf("interval %v", systemdInterval())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := testAgent(Config{}).feed(ctx)
	time.Sleep(60 * time.Millisecond)
	cancel()
	<-done
	var got []string
	buf := make([]byte, 256)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			break
		}
		got = append(got, string(buf[:n]))
	}
	if len(got) < 4 || got[0] != "READY=1" || got[1] != "WATCHDOG=1" || got[len(got)-1] != "STOPPING=1" {
		t.Errorf("told %q", got)
	}
	t.Setenv("WATCHDOG_PID", "1")
	if systemdInterval() != 0 {
		t.Error("the watchdog of another process is fed")
	}
}

func TestWatchdogResetIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bootstatus")
	for content, want := range map[string]bool{"0\n": false, "32\n": true, "0x28": true, "8": false, "x": false} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := (Watchdog{BootStatus: path}).lastReset() == reason.WatchdogReset; got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
}
