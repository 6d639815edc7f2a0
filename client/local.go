package client

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"time"

	"github.com/secure-ota/secure-ota/internal/agent/slot"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// ErrOpenPermissions is wrapped by the refusal to use secrets that others than
// their owner can read.
var ErrOpenPermissions = errors.New("permissions are too open")

// Local is the Ops of an ordinary computer: files in a directory, slots that
// are files in it unless Slots says otherwise, and the system's clock.
type Local struct {
	Dir   string        // the storage path; made by Provision
	HTTP  *http.Client  // see Server.HTTPClient
	Slots [2]slot.Place // zero: slot.a and slot.b in Dir
	FS    fsatomic.FS   // nil: the system's
}

// Do implements Ops.
func (l *Local) Do(req *http.Request) (*http.Response, error) { return l.HTTP.Do(req) }

// clockEpoch is before this program was written: a clock that shows less was
// never set, as on a device without a battery.
var clockEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Now implements Ops.
func (l *Local) Now() time.Time {
	if now := time.Now(); now.After(clockEpoch) {
		return now
	}
	return time.Time{}
}

func (l *Local) fsys() fsatomic.FS {
	if l.FS != nil {
		return l.FS
	}
	return fsatomic.OS()
}

// ReadFile implements Ops. It refuses a file that others than its owner may
// read (ErrOpenPermissions).
func (l *Local) ReadFile(name string) ([]byte, error) {
	path := filepath.Join(l.Dir, name)
	info, err := l.fsys().Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read %s: %w: mode %04o, want 0600: chmod 600 it, and provision the device again if others may have read it",
			path, ErrOpenPermissions, info.Mode().Perm())
	}
	return l.fsys().ReadFile(path)
}

// WriteFile implements Ops.
func (l *Local) WriteFile(name string, data []byte) error {
	return fsatomic.WriteFile(l.fsys(), filepath.Join(l.Dir, name), data, 0o600)
}

// Prepare makes the storage path and removes what an interrupted write left.
// Nobody else may be writing there.
func (l *Local) Prepare() error {
	if err := fsatomic.MkdirAll(l.fsys(), l.Dir, 0o700); err != nil {
		return fmt.Errorf("storage path: %w", err)
	}
	entries, err := l.fsys().ReadDir(l.Dir)
	if err != nil {
		return fmt.Errorf("storage path: %w", err)
	}
	for _, e := range entries {
		if !fsatomic.Leftover(e.Name()) {
			continue
		}
		if err := l.fsys().Remove(filepath.Join(l.Dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("storage path: %w", err)
		}
	}
	return nil
}

// place returns where slot n lies.
func (l *Local) place(n int) slot.Place {
	p := l.Slots[n]
	if p.Path == "" {
		p.Path = filepath.Join(l.Dir, "slot."+SlotName(n))
	}
	return p
}

// SlotPath returns the path of slot n.
func (l *Local) SlotPath(n int) string { return l.place(n).Path }

// OpenSlot implements Ops.
func (l *Local) OpenSlot(n int, write bool) (Slot, error) {
	s, err := l.place(n).Open(l.fsys(), write)
	if err != nil {
		return nil, err
	}
	return s, nil
}
