package home

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// masterLine begins the file of a fleet master, before its device type and
// the secret (package auth, which knows the database and is out of reach here).
const masterLine = "secure-ota fleet master of "

// UseOfSecret says what a secret of 32 bytes is to the server whose data
// directory server.json names: "" if it is nothing, else for instance "fleet
// master of sensor_v1".
func (h *Home) UseOfSecret(secret []byte) (string, error) {
	c, err := h.ServerConfig()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(c.Data, "secrets")
	entries, err := h.fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("fleet masters: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "fleet-") {
			continue
		}
		text, err := h.fsys.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", fmt.Errorf("fleet masters: %w", err)
		}
		// A device type may hold colons, the secret cannot.
		line := strings.TrimPrefix(strings.TrimSpace(string(text)), masterLine)
		i := strings.LastIndex(line, ": ")
		if i < 0 {
			continue
		}
		if master, err := hex.DecodeString(line[i+2:]); err == nil && hmac.Equal(master, secret) {
			return "fleet master of " + line[:i], nil
		}
	}
	return "", nil
}
