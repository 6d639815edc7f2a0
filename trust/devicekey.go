package trust

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/manifest"
)

// A DeviceID names a device for its whole life.
type DeviceID struct {
	Vendor     string
	DeviceType string
	ID         string
}

// Validate checks the names.
func (d DeviceID) Validate() error {
	if d.Vendor != "" {
		if err := manifest.CheckName(d.Vendor); err != nil {
			return fmt.Errorf("vendor: %w: %v", ErrInvalidField, err)
		}
	}
	if err := manifest.CheckName(d.DeviceType); err != nil {
		return fmt.Errorf("device type: %w: %v", ErrInvalidField, err)
	}
	if err := manifest.CheckName(d.ID); err != nil {
		return fmt.Errorf("device id: %w: %v", ErrInvalidField, err)
	}
	return nil
}

// KeySize is the length of a fleet master and of each device key, in bytes.
const KeySize = 32

// A FleetMaster is the secret of one device type from which the keys of its
// devices are derived, so that no secret stands in the device table.
type FleetMaster [KeySize]byte

// NewFleetMaster makes one from the system's random numbers.
func NewFleetMaster() FleetMaster {
	var m FleetMaster
	rand.Read(m[:])
	return m
}

// String hides the secret.
func (FleetMaster) String() string { return "[fleet master]" }

// GoString hides the secret.
func (FleetMaster) GoString() string { return "[fleet master]" }

// LogValue hides the secret.
func (FleetMaster) LogValue() slog.Value { return slog.StringValue("[fleet master]") }

// deviceKeyLabel separates this use of the fleet master from any other.
const deviceKeyLabel = "secure-ota device key"

// Directions of a device key.
const (
	directionUp   = 0 // device to server: check requests and reports
	directionDown = 1 // server to device: check responses
)

// DeviceKeys is KeyDeriver.DeviceKeys for those who derive once.
func (m FleetMaster) DeviceKeys(id DeviceID, generation uint32) (DeviceKeys, error) {
	return m.Deriver().DeviceKeys(id, generation)
}

// A DeviceKey is a MAC key of one device in one direction.
type DeviceKey [KeySize]byte

// DeviceKeys are the two keys of one device. With one key for both directions
// a device's own message could be sent back to it as an answer.
type DeviceKeys struct {
	Up   DeviceKey // MACs check requests and reports
	Down DeviceKey // MACs check responses
}

// IsZero reports whether the keys are unset, as on a device without a key.
func (k DeviceKeys) IsZero() bool { return k == DeviceKeys{} }

// String hides the secret.
func (DeviceKey) String() string { return "[device key]" }

// GoString hides the secret.
func (DeviceKey) GoString() string { return "[device key]" }

// LogValue hides the secret.
func (DeviceKey) LogValue() slog.Value { return slog.StringValue("[device key]") }

// KID returns the hint by which messages name the key: the first 8 bytes of
// its COSE Key Thumbprint (RFC 9679 section 4.4). It tells a key generation
// from another and, being 8 bytes of a hash of 256 random bits, nothing else.
func (k DeviceKey) KID() cose.KID {
	var key [len(symmetricKey) + KeySize]byte
	copy(key[copy(key[:], symmetricKey):], k[:])
	thumb := sha256.Sum256(key[:])
	return cose.KID(thumb[:cose.KIDSize])
}

// symmetricKey begins the COSE_Key {1: 4, -1: k} of 32 bytes.
const symmetricKey = "\xa2\x01\x04\x20\x58\x20"

// Hex returns the secret in hex, for provisioning files and nothing else.
func (k DeviceKey) Hex() string { return hex.EncodeToString(k[:]) }

// ParseDeviceKey reads what Hex writes. Its error does not repeat the text.
func ParseDeviceKey(text string) (DeviceKey, error) {
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != KeySize {
		return DeviceKey{}, fmt.Errorf("parse device key: %w: want %d hex digits", ErrInvalidField, 2*KeySize)
	}
	return DeviceKey(raw), nil
}
