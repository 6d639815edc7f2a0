package offline

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// generate makes a private key in memory.
func generate(a algorithm, purpose home.Purpose) (*signing.Key, error) {
	var key *signing.Key
	var err error
	if a.Algorithm == trust.PS256 {
		key, err = signing.GenerateRSA(a.bits)
	} else {
		key, err = signing.Generate(a.Algorithm)
	}
	if err != nil {
		return nil, err
	}
	key.Purpose = string(purpose)
	return key, nil
}

// generateReleaseKeys makes and saves the release keys of an epoch, as many as
// the release threshold asks for, and returns their entries for a keyset.
func generateReleaseKeys(h *home.Home, deviceType string, a algorithm, epoch uint32, count int, passphrase []byte) ([]trust.SignerKey, error) {
	var entries []trust.SignerKey
	for _, name := range releaseKeyNames(deviceType, epoch, count) {
		key, err := generate(a, home.ReleaseOf(deviceType))
		if err != nil {
			return nil, err
		}
		if _, err := h.AddKey(name, key, passphrase); err != nil {
			return nil, err
		}
		entries = append(entries, trust.SignerKey{ID: key.Public().ID(), Algorithm: key.Public().Algorithm(), Epoch: epoch})
	}
	return entries, nil
}

// releaseKeyNames returns the names of the release keys of an epoch.
func releaseKeyNames(deviceType string, epoch uint32, count int) []string {
	name := fmt.Sprintf("release-%s-%d", deviceType, epoch)
	if count == 1 {
		return []string{name}
	}
	var names []string
	for i := range count {
		names = append(names, name+string(rune('a'+i)))
	}
	return names
}
