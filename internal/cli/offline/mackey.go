package offline

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/cli/secret"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// ErrMACKey means that a file does not hold a MAC key.
var ErrMACKey = errors.New("not a MAC key: want 32 bytes, raw or as 64 hex digits")

// loadMACKey reads a key for bare MACs. It refuses a fleet master or device
// key that the home knows: a MAC over a file must not pass for a message.
func loadMACKey(name string, h *home.Home) ([]byte, error) {
	data, err := secret.ReadFile(name, 4096)
	if err != nil {
		return nil, fmt.Errorf("load MAC key: %w", err)
	}
	key := data
	if len(data) != trust.KeySize {
		key, err = hex.DecodeString(string(bytes.TrimSpace(data)))
	}
	if err != nil || len(key) != trust.KeySize {
		return nil, fmt.Errorf("load MAC key %s: %w", name, ErrMACKey)
	}
	if h == nil {
		return key, nil
	}
	use, err := h.UseOfSecret(key)
	if err == nil && use != "" {
		err = fmt.Errorf("load MAC key %s: %w: it is the %s", name, signing.ErrOneUse, use)
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}
