package agent

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/trust"
)

// stuck is how long the agent may be silent before the watchdogs are no longer
// fed: longer than any single wait of the client.
const stuck = 3 * time.Minute

// cardReset is WDIOF_CARDRESET of linux/watchdog.h: the watchdog did the last reset.
const cardReset = 0x20

// lastReset reads whether the watchdog did the last reset.
func (w Watchdog) lastReset() trust.Reason {
	path := w.BootStatus
	if path == "" {
		path = "/sys/class/watchdog/watchdog0/bootstatus"
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	flags, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 0, 32)
	if err != nil || flags&cardReset == 0 {
		return 0
	}
	return reason.WatchdogReset
}

// feed feeds the hardware watchdog and systemd's while the agent is alive. What
// it returns is closed when both have been told that we stop on purpose.
func (a *Agent) feed(ctx context.Context) <-chan struct{} {
	interval := a.cfg.Watchdog.Interval.or(5 * time.Second)
	if s := systemdInterval(); s > 0 {
		interval = min(interval, s)
	}
	device := a.openWatchdog()
	notify("READY=1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			if time.Since(time.Unix(0, a.beat.Load())) < stuck {
				notify("WATCHDOG=1")
				keepAlive(device)
			}
			select {
			case <-ctx.Done():
				notify("STOPPING=1")
				stopWatchdog(device)
				return
			case <-tick.C:
			}
		}
	}()
	return done
}

func (a *Agent) openWatchdog() io.WriteCloser {
	if a.cfg.Watchdog.Device == "" {
		return nil
	}
	f, err := os.OpenFile(a.cfg.Watchdog.Device, os.O_WRONLY, 0)
	if err != nil {
		a.log.Error("the watchdog is not fed", "error", err)
		return nil
	}
	return f
}

// keepAlive writes any byte but the magic one.
func keepAlive(device io.Writer) {
	if device != nil {
		_, _ = device.Write([]byte{0})
	}
}

// stopWatchdog disarms the watchdog, where the driver allows it: the magic
// close. An agent that crashed does not, and the watchdog bites.
func stopWatchdog(device io.WriteCloser) {
	if device != nil {
		_, _ = device.Write([]byte("V"))
		_ = device.Close()
	}
}
