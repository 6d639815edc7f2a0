package client

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// MaxProvisioning is the longest provisioning file, in bytes.
const MaxProvisioning = 64 << 10

// A Provisioning is what makes a computer a device: who it is, its secret, and
// the keyset that it trusts first. `ota device add` writes one, and enrolment
// answers with one. Its level is fixed by the kind of secret: with device keys
// every answer has to be MAC'ed; with a token (level 0) TLS has to do.
type Provisioning struct {
	Vendor           string   `json:"vendor"`
	DeviceType       string   `json:"device_type"`
	Device           string   `json:"device"`
	HardwareRevision string   `json:"hardware_revision,omitzero"`
	Component        string   `json:"component,omitzero"`
	Level            *int     `json:"level,omitempty"`
	Generation       uint32   `json:"generation,omitzero"` // of the secret; rises when the device is provisioned again
	UpKey            string   `json:"up_key,omitzero"`     // 64 hex digits
	DownKey          string   `json:"down_key,omitzero"`   // 64 hex digits
	Token            string   `json:"token,omitzero"`      // in place of the keys: level 0
	Keyset           []byte   `json:"keyset"`              // signed keyset
	Keys             [][]byte `json:"keys"`                // COSE_Keys of its roots and release keys
}

// ErrProvisioned is wrapped by the refusal to provision a device again without
// a newer key generation: its counter of nonces would start again under the
// same keys.
var ErrProvisioned = errors.New("the device is provisioned already")

// ParseProvisioning strictly decodes and checks a provisioning file. It
// verifies the keyset under its own roots.
func ParseProvisioning(raw []byte) (Provisioning, error) {
	var p Provisioning
	if len(raw) > MaxProvisioning {
		return p, fmt.Errorf("provisioning: %w: %d bytes, at most %d", trust.ErrTooLarge, len(raw), MaxProvisioning)
	}
	if err := json.Unmarshal(raw, &p, json.RejectUnknownMembers(true)); err != nil {
		return p, fmt.Errorf("provisioning: %w: %v", trust.ErrMalformed, err)
	}
	_, err := p.check()
	return p, err
}

// identity is the checked form of a Provisioning.
type identity struct {
	trust.DeviceID
	hardware, component string
	generation          uint32
	keys                trust.DeviceKeys // zero: level 0
	token               string
}

func (id identity) keyed() bool { return !id.keys.IsZero() }

func (p Provisioning) check() (identity, error) {
	id, err := p.identity()
	if err != nil {
		return id, fmt.Errorf("provisioning: %w", err)
	}
	ks, _, err := openKeyset(p.Keyset, p.Keys)
	if err != nil {
		return id, fmt.Errorf("provisioning: %w", err)
	}
	if ks.Keyset().Vendor != id.Vendor {
		return id, fmt.Errorf("provisioning: keyset: %w: %q", trust.ErrWrongVendor, ks.Keyset().Vendor)
	}
	if ks.Keyset().DeviceType != id.DeviceType {
		return id, fmt.Errorf("provisioning: keyset: %w: %q", trust.ErrWrongType, ks.Keyset().DeviceType)
	}
	return id, nil
}

func (p Provisioning) identity() (identity, error) {
	id := identity{
		DeviceID: trust.DeviceID{Vendor: p.Vendor, DeviceType: p.DeviceType, ID: p.Device},
		hardware: p.HardwareRevision, component: p.Component, generation: p.Generation, token: p.Token,
	}
	if err := id.Validate(); err != nil {
		return id, err
	}
	for what, name := range map[string]string{"hardware revision": p.HardwareRevision, "component": p.Component} {
		if name != "" && manifest.CheckName(name) != nil {
			return id, fmt.Errorf("%s: %w: %v", what, trust.ErrInvalidField, manifest.CheckName(name))
		}
	}
	keyed := p.UpKey != "" || p.DownKey != ""
	if keyed == (p.Token != "") {
		return id, fmt.Errorf("%w: want up_key and down_key, or a token", trust.ErrInvalidField)
	}
	if p.Level != nil && keyed != (*p.Level > 0) {
		return id, fmt.Errorf("%w: level %d does not go with this kind of secret", trust.ErrInvalidField, *p.Level)
	}
	if !keyed {
		return id, checkToken(p.Token)
	}
	if p.Generation == 0 {
		return id, fmt.Errorf("%w: a device key has a generation, from 1", trust.ErrInvalidField)
	}
	up, errUp := trust.ParseDeviceKey(p.UpKey)
	down, errDown := trust.ParseDeviceKey(p.DownKey)
	if err := errors.Join(errUp, errDown); err != nil {
		return id, err
	}
	if up == down || up == (trust.DeviceKey{}) || down == (trust.DeviceKey{}) {
		return id, fmt.Errorf("%w: each direction has a key of its own", trust.ErrInvalidField)
	}
	id.keys = trust.DeviceKeys{Up: up, Down: down}
	return id, nil
}

// checkToken keeps a token from being more than one header field.
func checkToken(token string) error {
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("%w: the token has a character that is not printable ASCII", trust.ErrInvalidField)
		}
	}
	return nil
}

// identityFile holds the Provisioning. It is written last: where it is, the
// rest is.
const identityFile = "device.json"

// Provision makes the device of cfg what p says. A device that is provisioned
// already is only changed to a newer key generation of the same device; what is
// installed, the floor and the history stay.
func Provision(cfg Config, p Provisioning) error {
	id, err := p.check()
	if err != nil {
		return err
	}
	c, err := cfg.open()
	if err != nil {
		return err
	}
	if local, ok := c.ops.(*Local); ok {
		if err := local.Prepare(); err != nil {
			return err
		}
	}
	old, err := readIdentity(c.ops)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case old.DeviceID != id.DeviceID:
		return fmt.Errorf("provision %s: %w as %s %s", id.ID, ErrProvisioned, old.DeviceType, old.ID)
	case id.generation <= old.generation:
		return fmt.Errorf("provision %s: %w with key generation %d: a newer one is needed (`ota device add` or a new enrolment code makes it)",
			id.ID, ErrProvisioned, old.generation)
	}
	c.id = id
	return c.provision(p)
}

// provision writes the state, the keyset and, last, the identity. Cut before
// the identity, the state is of another generation than the old identity, and
// the device says so instead of going on with a counter that may be wrong.
func (c *Client) provision(p Provisioning) error {
	state, err := c.loadState()
	fresh := errors.Is(err, ErrStateLost)
	if err != nil && !fresh {
		return err
	}
	if fresh {
		state = newState()
	}
	state.Generation = p.Generation
	if err := c.save(state); err != nil {
		return err
	}
	c.state = state
	if err := c.adoptKeyset(p); err != nil {
		return err
	}
	raw, err := json.Marshal(p, jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("provision: %w", err)
	}
	if err := c.ops.WriteFile(identityFile, append(raw, '\n')); err != nil {
		return fmt.Errorf("provision: store the device's secret: %w", storage(err))
	}
	return nil
}

func readIdentity(ops Ops) (identity, error) {
	raw, err := ops.ReadFile(identityFile)
	if err != nil {
		return identity{}, fmt.Errorf("read the device's identity: %w", err)
	}
	var p Provisioning
	if err := json.Unmarshal(raw, &p, json.RejectUnknownMembers(true)); err != nil {
		return identity{}, fmt.Errorf("read the device's identity: %w: %v", trust.ErrMalformed, err)
	}
	id, err := p.identity()
	if err != nil {
		return identity{}, fmt.Errorf("read the device's identity: %w", err)
	}
	return id, nil
}

// String names the device and hides its secret.
func (p Provisioning) String() string {
	return "[provisioning of " + p.DeviceType + " " + p.Device + "]"
}

// GoString hides the secret.
func (p Provisioning) GoString() string { return p.String() }

// LogValue hides the secret.
func (p Provisioning) LogValue() slog.Value { return slog.StringValue(p.String()) }
