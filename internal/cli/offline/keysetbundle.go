package offline

import (
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/trust"
)

// keysetBundle returns keysets with the public keys they name, as far as the
// home has them: what somebody needs who has nothing yet.
func keysetBundle(h *home.Home, chain []trust.VerifiedKeyset) (trust.Bundle, error) {
	ring, err := h.Ring()
	if err != nil {
		return trust.Bundle{}, err
	}
	b := trust.Bundle{Keys: trust.KeyRing{}}
	for _, ks := range chain {
		b.Keysets = append(b.Keysets, ks.Bytes())
		addNamed(b.Keys, ring, ks.Keyset())
	}
	return b, nil
}

// addNamed adds to keys those of ring that a keyset names.
func addNamed(keys, ring trust.KeyRing, ks *trust.Keyset) {
	for _, list := range [][]trust.SignerKey{ks.Roots, ks.Releases} {
		for _, k := range list {
			if key, ok := ring[k.ID]; ok {
				keys[k.ID] = key
			}
		}
	}
}

// KeysetBundle returns all keysets of a device type and the keys they name.
func KeysetBundle(h *home.Home, deviceType string) (trust.Bundle, error) {
	chain, err := h.Keysets(deviceType)
	if err != nil {
		return trust.Bundle{}, err
	}
	return keysetBundle(h, chain)
}
