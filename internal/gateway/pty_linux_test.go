package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secure-ota/secure-ota/otatest"
)

func TestAnUpdateThroughAPseudoTerminal(t *testing.T) {
	system := otatest.New(t)
	image := firmware(20_000)
	system.Publish("1.1.0", image)
	master, path := openPTY(t)
	g, said := newGateway(t, pinned(system), path)
	run(t, g)
	said.wait(t, "connected", 1)
	a := newApp(t, system, "dev-1", master)
	if got := a.update(system, 1024); !bytes.Equal(got, image) {
		t.Fatal("another image")
	}
	// Unplugged.
	master.Close()
	said.wait(t, "lost", 1)
}

// Two gateways at one line would each get half of what the device says. The one
// that ends, however it does, leaves the line to the next.
func TestATerminalIsServedOnce(t *testing.T) {
	_, path := openPTY(t)
	for range 2 {
		first, err := openTerminal(path, DefaultBaud)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := openTerminal(path, DefaultBaud); !errors.Is(err, errTerminalTaken) {
			t.Errorf("a second one is let in: %v", err)
			if err == nil {
				second.Close()
			}
		}
		first.Close()
	}
	left, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	if exclusive, err := unix.IoctlGetInt(int(left.Fd()), unix.TIOCGEXCL); err != nil || exclusive != 0 {
		t.Errorf("it is left exclusive, and only root can open it: %v", err)
	}
}

// openPTY returns one end of a pseudo terminal, and the path of the other.
func openPTY(t *testing.T) (*os.File, string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var got error
	err = raw.Control(func(fd uintptr) {
		if got = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); got == nil {
			n, got = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil || got != nil {
		t.Fatal(err, got)
	}
	return master, fmt.Sprintf("/dev/pts/%d", n)
}
