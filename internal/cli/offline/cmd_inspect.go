package offline

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline/inspect"
	"github.com/secure-ota/secure-ota/internal/cli/secret"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/trust"
)

type inspectOptions struct {
	env        *env.Env
	keyset     string
	publicKeys []string
	deviceKey  string
}

func inspectCommand(e *env.Env) *cobra.Command {
	o := inspectOptions{env: e}
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Explain any object: key, signature, manifest, keyset, bundle, message",
		Long: `Explain an object field by field, and say whether it verifies and against what: the keysets
and keys of the home, or those given. It is recognised by its content. An encrypted private
key is explained without its passphrase.

Exit codes: 0 explained (it verifies, or there is nothing here to check it with), 1 damaged,
or it does not verify.`,
		Example: `  ota inspect firmware.bin.manifest
  ota inspect firmware.bin.manifest --keyset sensor_v1.keyset --public-key release.pub.pem --json
  ota inspect public_key.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.keyset, "keyset", "", "hold it against this keyset or bundle `FILE` instead of the home's")
	flags.StringArrayVar(&o.publicKeys, "public-key", nil, "a public key to check with: a `FILE` or a name in the home; may be repeated")
	flags.StringVar(&o.deviceKey, "device-key", "", "provisioning `FILE` of the device that sent or gets a message")
	cmd.RegisterFlagCompletionFunc("public-key", completeKeys(e))
	return cmd
}

func (o *inspectOptions) run(file string) error {
	h, err := o.env.HomeIfAny()
	if err != nil {
		return err
	}
	c, err := o.context(h)
	if err != nil {
		return err
	}
	data, err := o.env.ReadFile(file, inspect.MaxSize)
	if err != nil {
		return err
	}
	return explainIn(o.env, c, file, data)
}

// explain prints an object, held against what the home has.
func explain(e *env.Env, h *home.Home, data []byte) error {
	c, err := homeContext(h)
	if err != nil {
		return err
	}
	r, err := inspect.Object(data, c)
	if err != nil {
		return err
	}
	return e.Print(r.Record)
}

// explainIn prints an object; one that does not verify is an error.
func explainIn(e *env.Env, c inspect.Context, name string, data []byte) error {
	r, err := inspect.Object(data, c)
	if err != nil {
		return fmt.Errorf("inspect %s: %w", name, err)
	}
	if err := e.Print(r.Record); err != nil {
		return err
	}
	if r.Verdict == inspect.Refused {
		return fmt.Errorf("%s does not verify: %w", name, r.Err)
	}
	return nil
}

// homeContext is what the home has to hold an object against.
func homeContext(h *home.Home) (inspect.Context, error) {
	c := inspect.Context{Ring: trust.KeyRing{}}
	if h == nil {
		return c, nil
	}
	keys, err := h.Keys()
	if err != nil {
		return c, err
	}
	names := map[trust.KeyID]string{}
	for _, k := range keys {
		c.Ring[k.Public.ID()] = k.Public
		names[k.Public.ID()] = k.Name
	}
	c.Name = func(id trust.KeyID) string { return names[id] }
	types, err := h.Types()
	if err != nil {
		return c, err
	}
	held := map[string][]trust.VerifiedKeyset{}
	for _, t := range types {
		if held[t], err = h.Keysets(t); err != nil {
			return c, err
		}
	}
	c.Keysets = func(deviceType string) []trust.VerifiedKeyset { return held[deviceType] }
	return c, nil
}

func (o *inspectOptions) context(h *home.Home) (inspect.Context, error) {
	c, err := homeContext(h)
	if err != nil {
		return c, err
	}
	for _, ref := range o.publicKeys {
		k, _, err := loadPublicKey(o.env, h, ref)
		if err != nil {
			return c, err
		}
		c.Ring[k.ID()] = k
	}
	if o.keyset != "" {
		if err := o.addKeyset(&c); err != nil {
			return c, err
		}
	}
	if o.deviceKey != "" {
		if c.Device, err = loadProvisioning(o.deviceKey); err != nil {
			return c, err
		}
	}
	return c, nil
}

// addKeyset makes the keysets of a file the ones that are held.
func (o *inspectOptions) addKeyset(c *inspect.Context) error {
	data, err := o.env.ReadFile(o.keyset, trust.MaxBundle)
	if err != nil {
		return err
	}
	b, err := readKeysets(data)
	if err != nil {
		return fmt.Errorf("%s: %w", o.keyset, err)
	}
	for id, k := range b.Keys {
		c.Ring[id] = k
	}
	if len(b.Keysets) == 1 { // for a single keyset, say what is wrong with it
		if _, err := trust.OpenHeld(b.Keysets[0], c.Ring); err != nil {
			return fmt.Errorf("%s: %w", o.keyset, err)
		}
	}
	c.Keysets = func(deviceType string) []trust.VerifiedKeyset {
		return inspect.Chain(b.Keysets, c.Ring, deviceType)
	}
	return nil
}

// readKeysets reads a keyset, or a bundle with keysets, as a bundle.
func readKeysets(data []byte) (trust.Bundle, error) {
	if _, _, err := trust.ParseKeyset(data); err == nil {
		return trust.Bundle{Keysets: [][]byte{data}, Keys: trust.KeyRing{}}, nil
	} else if !errors.Is(err, trust.ErrMalformed) {
		return trust.Bundle{}, err
	}
	return trust.DecodeBundle(data)
}

// provisioning is what of a provisioning file is needed here: it has more
// (docs/spec/device-protocol.md section 7).
type provisioning struct {
	DeviceType string          `json:"device_type"`
	Device     string          `json:"device"`
	UpKey      trust.DeviceKey `json:"up_key,format:hex"`
	DownKey    trust.DeviceKey `json:"down_key,format:hex"`
}

func loadProvisioning(name string) (func(deviceType, id string) (trust.DeviceKeys, bool), error) {
	text, err := secret.ReadFile(name, 64<<10)
	if err != nil {
		return nil, fmt.Errorf("load provisioning file: %w", err)
	}
	var p provisioning
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("load provisioning file %s: %w", name, err)
	}
	return func(_, id string) (trust.DeviceKeys, bool) {
		return trust.DeviceKeys{Up: p.UpKey, Down: p.DownKey}, id == p.Device
	}, nil
}
