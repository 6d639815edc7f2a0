package fleet

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/trust"
)

// UpKey returns the key that authenticates messages of a device; it is a
// trust.KeyOf. For a device that does not exist or has no key it is a key that
// nobody has, so that both fail in the same way, after the same work.
func (f *Fleet) UpKey(deviceType, device string) (trust.DeviceKey, error) {
	e, ok := f.find(Ref{deviceType, device})
	if !ok || e.device.Load().Level != Keyed {
		return f.stranger, nil
	}
	keys, err := f.keysOf(e)
	return keys.Up, err
}

// DownKey returns the key that authenticates answers to a device.
func (f *Fleet) DownKey(ref Ref) (trust.DeviceKey, error) {
	e, ok := f.find(ref)
	if !ok || e.device.Load().Level != Keyed {
		return trust.DeviceKey{}, fmt.Errorf("key of device %s: %w", ref, ErrNotFound)
	}
	keys, err := f.keysOf(e)
	return keys.Down, err
}

// keysOf derives the keys once for each generation: deriving costs more than
// the rest of an update check.
func (f *Fleet) keysOf(e *entry) (trust.DeviceKeys, error) {
	d := e.device.Load()
	if have := e.keys.Load(); have != nil && have.generation == d.Generation {
		return have.keys, nil
	}
	keys, err := f.derive(d)
	if err != nil {
		return trust.DeviceKeys{}, err
	}
	e.keys.Store(&derived{d.Generation, keys})
	return keys, nil
}

func (f *Fleet) derive(d *Device) (trust.DeviceKeys, error) {
	master, err := f.cfg.Masters.Load(d.DeviceType)
	if err != nil {
		return trust.DeviceKeys{}, err
	}
	return master.DeviceKeys(trust.DeviceID{Vendor: d.Vendor, DeviceType: d.DeviceType, ID: d.ID}, d.Generation)
}

// CheckToken authenticates a device without a key by its bearer token. A
// device with a key is refused with ErrKeyed: its level is never negotiated.
func (f *Fleet) CheckToken(ref Ref, token auth.Token) error {
	e, ok := f.find(ref)
	if !ok {
		return fmt.Errorf("device %s: %w", ref, ErrUnauthenticated)
	}
	d := e.device.Load()
	if d.Level == Keyed {
		return fmt.Errorf("device %s: %w", ref, ErrKeyed)
	}
	if !d.Token.Matches(token) {
		return fmt.Errorf("device %s: %w", ref, ErrUnauthenticated)
	}
	return nil
}
