package fleet

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/trust"
)

func (f *Fleet) derive(d *Device) (trust.DeviceKeys, error) {
	deriver, err := f.cfg.Masters.Deriver(d.DeviceType)
	if err != nil {
		return trust.DeviceKeys{}, err
	}
	return deriver.DeviceKeys(d.DeviceID(), d.Generation)
}

// CheckToken authenticates a device without a key by its bearer token. A
// device with a key is refused with ErrKeyed: its level is never negotiated.
func (f *Fleet) CheckToken(ref Ref, token auth.Token) error {
	d, ok, err := f.find(ref)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("device %s: %w", ref, ErrUnauthenticated)
	}
	if d.Level == Keyed {
		return fmt.Errorf("device %s: %w", ref, ErrKeyed)
	}
	if !d.Token.Matches(token) {
		return fmt.Errorf("device %s: %w", ref, ErrUnauthenticated)
	}
	return nil
}
