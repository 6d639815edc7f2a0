package auth

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// ErrNoMaster is wrapped by the error for a device type whose fleet master
// file is missing.
var ErrNoMaster = errors.New("fleet master not found")

// ErrPermissions is wrapped by the refusal of a secret that others can read.
var ErrPermissions = errors.New("the file can be read by others")

// Masters are the fleet masters, one file for each device type, mode 0600. They
// stand outside the database so that a copy of the database, which is what
// gets backed up, mailed and stolen, holds no secret.
type Masters struct {
	dir string

	mu    sync.RWMutex
	cache map[string]loaded
}

type loaded struct {
	master  trust.FleetMaster
	deriver *trust.KeyDeriver
}

// OpenMasters returns the masters in a directory, which is made when the first
// one is.
func OpenMasters(dir string) *Masters {
	return &Masters{dir: dir, cache: map[string]loaded{}}
}

// Load returns the master of a device type, or ErrNoMaster.
func (m *Masters) Load(deviceType string) (trust.FleetMaster, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load(deviceType)
}

// Deriver returns what derives the keys of the devices of a type, or
// ErrNoMaster.
func (m *Masters) Deriver(deviceType string) (*trust.KeyDeriver, error) {
	m.mu.RLock()
	have, ok := m.cache[deviceType]
	m.mu.RUnlock()
	if ok {
		return have.deriver, nil
	}
	if _, err := m.Load(deviceType); err != nil {
		return nil, err
	}
	return m.Deriver(deviceType)
}

// LoadOrCreate is Load for a type that has no keyed device yet. For one that
// has, a new master would lock out every device: restoring the file is the
// only way back.
func (m *Masters) LoadOrCreate(deviceType string) (trust.FleetMaster, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	master, err := m.load(deviceType)
	if !errors.Is(err, ErrNoMaster) {
		return master, err
	}
	if err := fsatomic.MkdirAll(fsatomic.OS(), m.dir, 0o700); err != nil {
		return trust.FleetMaster{}, fmt.Errorf("create fleet master of %s: %w", deviceType, err)
	}
	created := trust.NewFleetMaster()
	text := masterLine(deviceType) + hex.EncodeToString(created[:]) + "\n"
	err = fsatomic.CreateFile(fsatomic.OS(), m.path(deviceType), []byte(text), 0o600)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return trust.FleetMaster{}, fmt.Errorf("create fleet master of %s: %w", deviceType, err)
	}
	return m.load(deviceType) // of two who create at once, the first wins
}

// Discard removes a master that no device has yet.
func (m *Masters) Discard(deviceType string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.cache, deviceType)
	if err := fsatomic.RemoveDurable(fsatomic.OS(), m.path(deviceType)); err != nil {
		return fmt.Errorf("discard fleet master of %s: %w", deviceType, err)
	}
	return nil
}

func (m *Masters) load(deviceType string) (trust.FleetMaster, error) {
	if have, ok := m.cache[deviceType]; ok {
		return have.master, nil
	}
	if err := manifest.CheckName(deviceType); err != nil {
		return trust.FleetMaster{}, fmt.Errorf("load fleet master: %w", err)
	}
	path := m.path(deviceType)
	if err := checkSecret(path); err != nil {
		return trust.FleetMaster{}, fmt.Errorf("load fleet master of %s: %w", deviceType, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return trust.FleetMaster{}, fmt.Errorf("load fleet master of %s: %w", deviceType, err)
	}
	// The line names the type: on a file system that ignores case, two types
	// may share a file name, and must not share a master.
	secret, ok := strings.CutPrefix(string(text), masterLine(deviceType))
	raw, err := hex.DecodeString(strings.TrimSuffix(secret, "\n"))
	if !ok || err != nil || len(raw) != trust.KeySize {
		return trust.FleetMaster{}, fmt.Errorf("load fleet master of %s: %s is not its file; restore it from a backup", deviceType, path)
	}
	master := trust.FleetMaster(raw)
	m.cache[deviceType] = loaded{master, master.Deriver()}
	return master, nil
}

func (m *Masters) path(deviceType string) string {
	// ':' cannot stand in a file name of Windows, '%' cannot in a device type.
	return filepath.Join(m.dir, "fleet-"+strings.ReplaceAll(deviceType, ":", "%3A")+".key")
}

func masterLine(deviceType string) string { return "secure-ota fleet master of " + deviceType + ": " }

func checkSecret(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNoMaster, path)
	}
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o, want 0600", ErrPermissions, path, mode)
	}
	return nil
}
