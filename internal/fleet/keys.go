package fleet

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/trust"
)

// keysOf derives the keys once for each generation: deriving costs more than
// the rest of an update check.
func (f *Fleet) keysOf(e *entry, d *Device) (trust.DeviceKeys, error) {
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
	return master.DeviceKeys(d.DeviceID(), d.Generation)
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
