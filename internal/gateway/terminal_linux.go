//go:build linux && !ppc && !ppc64 && !ppc64le

package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// errTerminalTaken is the refusal of a terminal that another gateway serves.
var errTerminalTaken = errors.New("another program has it")

// openTerminal opens a serial port, or a pseudo terminal, as a line of 8 bits
// without parity, echo or flow control. One gateway has it at a time.
func openTerminal(path string, baud int) (io.ReadWriteCloser, error) {
	// Not to wait for a modem's carrier, and not to become its job.
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := claim(f, baud); err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s as a terminal at %d baud: %w", path, baud, err)
	}
	return f, nil
}

// claim locks a terminal and sets it up.
func claim(f *os.File, baud int) error {
	raw, err := f.SyscallConn() // File.Fd would make reads block for ever
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) {
		if done = lock(int(fd)); done == nil {
			done = setRaw(int(fd), baud)
		}
	})
	if err != nil {
		return err
	}
	return done
}

// lock keeps others out who lock as well: gateways, pySerial, picocom. TIOCEXCL
// would not do: root is let in all the same, and on a pseudo terminal it outlives
// the process, so that a gateway could not be started again.
func lock(fd int) error {
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return errTerminalTaken
	}
	return err
}

func setRaw(fd, baud int) error {
	// The "2" forms take any speed, not only those with a name.
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = unix.IGNBRK|unix.IGNPAR, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.BOTHER // without HUPCL: closing resets no board
	t.Ispeed, t.Ospeed = uint32(baud), uint32(baud)
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS2, t); err != nil {
		return err
	}
	return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH) // what was there before is noise
}
