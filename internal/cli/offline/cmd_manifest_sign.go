package offline

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/trust"
)

type manifestSignOptions struct {
	signerFlags
	output string
}

func manifestSignCommand(e *env.Env) *cobra.Command {
	o := manifestSignOptions{signerFlags: newSignerFlags(e)}
	cmd := &cobra.Command{
		Use:   "sign MANIFEST",
		Short: "Add a release key's signature to a manifest",
		Long: `Add signatures to a manifest, keeping those it has: for device types that want two release
keys, each holder runs this in turn. What is signed is shown.`,
		Example: `  ota manifest sign firmware.bin.manifest --key release-sensor_v1-1
  ota manifest sign firmware.bin.manifest --signer 'hsm-sign --label release' --signer-public release.pub.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "where the signed manifest goes: `FILE` (default: MANIFEST itself)")
	o.add(cmd, "a release key of the type")
	o.pass.FileFlag(cmd.Flags())
	cmd.MarkFlagsOneRequired("key", "signer")
	return cmd
}

func (o *manifestSignOptions) run(file string) error {
	raw, err := o.env.ReadFile(file, trust.MaxManifest)
	if err != nil {
		return err
	}
	m, _, err := trust.ParseManifest(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	h, err := o.env.HomeIfAny()
	if err != nil {
		return err
	}
	signers, err := o.load(h)
	if err != nil {
		return err
	}
	chain, err := keysetsOf(h, m.DeviceType)
	if err != nil {
		return err
	}
	if err := checkSigners(chain, m.DeviceType, signers); err != nil {
		return err
	}
	for _, s := range signers {
		if raw, err = trust.SignManifest(raw, s); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	r := &Release{Manifest: m, Raw: raw}
	if err := r.verify(h, chain); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if o.output == "" {
		o.output = file
	}
	if err := o.env.WriteFile(o.output, raw, 0o644); err != nil {
		return err
	}
	if o.output == "-" {
		return nil
	}
	sayMissing(o.env, r, true)
	return explain(o.env, h, raw)
}

// checkSigners refuses keys that may not sign releases of the type: by the
// newest keyset if there is one, else by the purpose their files tell.
func checkSigners(chain []trust.VerifiedKeyset, deviceType string, signers []signer) error {
	if len(chain) > 0 {
		_, err := commonEpoch(chain[len(chain)-1].Keyset(), signers)
		return err
	}
	for _, s := range signers {
		k, ok := s.(fileSigner)
		if !ok {
			continue
		}
		purpose := home.Purpose(k.Key.Purpose)
		if purpose != home.ForFirmware && purpose != home.ReleaseOf(deviceType) {
			return fmt.Errorf("key %s: %w: its purpose is %q", nameOf(s), ErrNotReleaseKey, purpose)
		}
	}
	return nil
}
