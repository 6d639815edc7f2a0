package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// ErrLocked is wrapped by the refusal to use a device that another process uses.
var ErrLocked = errors.New("another ota-agent uses this device")

// A lock keeps two processes from changing one device. The kernel releases it
// when the process ends, however it ends.
type lock struct{ file fsatomic.File }

func takeLock(storage string) (*lock, error) {
	path := filepath.Join(storage, "lock")
	file, err := fsatomic.OS().OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("storage path %s: %w: the device is not provisioned, or storage names another directory", storage, err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the device: %w", err)
	}
	f, ok := file.(interface{ Fd() uintptr })
	if !ok {
		return nil, errors.Join(errors.New("lock the device: not a file of the system"), file.Close())
	}
	if err := flock(int(f.Fd())); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%w: stop it first (`systemctl stop ota-agent`)", ErrLocked)
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return &lock{file}, nil
}

// patience is how long the lock of an agent that was killed may outlive it: a
// child that it had just forked has its files open until it runs its program.
const patience = 2 * time.Second

func flock(fd int) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return err
		}
	}
}

// Exclusive makes the storage path if need be, and calls do while no other
// process uses it: a daemon that goes on with the state of before would write
// that back, over what do wrote.
func (cfg Config) Exclusive(do func() error) error {
	err := fsatomic.MkdirAll(fsatomic.OS(), cfg.Storage, 0o700)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("storage path: %w: be root, or name another with --storage", err)
	}
	if err != nil {
		return fmt.Errorf("storage path: %w", err)
	}
	l, err := takeLock(cfg.Storage)
	if err != nil {
		return err
	}
	return errors.Join(do(), l.release())
}

func (l *lock) release() error { return l.file.Close() }
