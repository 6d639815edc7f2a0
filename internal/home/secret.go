package home

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/secure-ota/secure-ota/trust"
)

// UseOfSecret says what a secret of 32 bytes is in this home: "" if it is
// nothing, else for instance "fleet master of sensor_v1".
func (h *Home) UseOfSecret(secret []byte) (string, error) {
	types, err := h.Types()
	if err != nil {
		return "", err
	}
	for _, t := range types {
		text, err := h.fsys.ReadFile(h.path("types", escape(t), "fleet.master"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("fleet master of %s: %w", t, err)
		}
		master, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(master) != trust.KeySize {
			return "", fmt.Errorf("fleet master of %s: %w", t, ErrDamaged)
		}
		if hmac.Equal(master, secret) {
			return "fleet master of " + t, nil
		}
	}
	return "", nil
}
