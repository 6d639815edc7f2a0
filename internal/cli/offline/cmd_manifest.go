package offline

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
)

type manifestOptions struct {
	env    *env.Env
	spec   *ReleaseSpec
	output string
}

func manifestCommand(e *env.Env) *cobra.Command {
	o := manifestOptions{env: e, spec: NewReleaseSpec(e)}
	cmd := &cobra.Command{
		Use:   "manifest FILE",
		Short: "Say what a firmware file is, for which devices, and sign that",
		Long: `Make the manifest of a firmware file: which image, for which devices, in which order.
It goes to FILE.manifest; notes, CVEs and SBOM digests go to FILE.release.

With --key it is signed, otherwise it waits for "ota manifest sign". Vendor, key epoch and
release number come from the home of "ota init". Without one the vendor is empty, which fits
only devices provisioned without a vendor, and the sequence is 1.1 or --sequence.`,
		Example: `  ota manifest firmware.bin --device-type sensor_v1 --version 2.1.0 --release-notes "Security patch for CVE-2024-XXXX"
  ota manifest firmware.bin --device-type sensor_v1 --version 2.1.0 --key release-sensor_v1-1
  ota manifest sign firmware.bin.manifest --key release-sensor_v1-1`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	o.spec.Flags(cmd)
	cmd.MarkFlagRequired("device-type")
	cmd.MarkFlagRequired("version")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "where the manifest goes: `FILE` (default: FILE.manifest)")
	cmd.AddCommand(manifestSignCommand(e))
	return cmd
}

func (o *manifestOptions) run(file string) error {
	document := file + ".release"
	if file == "-" {
		if o.output == "" {
			return exit.Usagef("the file is standard input: say with -o where the manifest goes")
		}
		document = o.output + ".release"
	}
	if o.output == "" {
		o.output = file + ".manifest"
	}
	if err := o.env.Spare(file, o.output); err != nil {
		return err
	}
	h, err := o.env.HomeIfAny()
	if err != nil {
		return err
	}
	r, err := o.spec.Build(h, file, nil)
	if err != nil {
		return err
	}
	// The document first: a manifest that names it must not be there without it.
	if r.Document != nil {
		if err := o.env.WriteFile(document, r.Document, 0o644); err != nil {
			return err
		}
		o.env.Say("wrote %s", document)
	}
	if err := o.env.WriteFile(o.output, r.Raw, 0o644); err != nil {
		return err
	}
	if o.output == "-" {
		return nil
	}
	o.env.Say("wrote %s", o.output)
	sayMissing(o.env, r, o.spec.signers.given())
	return explain(o.env, h, r.Raw)
}

// sayMissing says what a manifest lacks before a device takes it.
func sayMissing(e *env.Env, r *Release, signed bool) {
	switch {
	case !signed:
		e.Say("it is not signed yet: ota manifest sign")
	case r.Missing != nil:
		e.Say("signatures are missing (%v): ota manifest sign", r.Missing)
	}
}
