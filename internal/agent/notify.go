package agent

import (
	"net"
	"os"
	"strconv"
	"time"
)

// notify tells systemd about us: the sd_notify protocol is a datagram of
// NAME=value lines to the socket that NOTIFY_SOCKET names, "@" standing for the
// abstract namespace. Without systemd it does nothing.
func notify(state string) {
	addr := os.Getenv("NOTIFY_SOCKET")
	if addr == "" {
		return
	}
	conn, err := net.Dial("unixgram", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}

// systemdInterval returns how often systemd wants to hear of us, 0 for never:
// half the time after which it would restart us.
func systemdInterval() time.Duration {
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}
