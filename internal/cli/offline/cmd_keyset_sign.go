package offline

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/trust"
)

type keysetSignOptions struct {
	signerFlags
	output string
}

func keysetSignCommand(e *env.Env) *cobra.Command {
	o := keysetSignOptions{signerFlags: newSignerFlags(e)}
	cmd := &cobra.Command{
		Use:   "sign TYPE|FILE",
		Short: "Sign the keyset that waits, in the home or in a request file",
		Long: `Sign a keyset with root keys: the one of TYPE that waits in the home, or the one in a request
FILE, which works without a home. What is signed, and what it changes, is shown; read it.

Without --key or --signer all private root keys of the home that count for it sign.`,
		Example: `  ota keyset sign sensor_v1
  ota keyset sign sensor_v1.request --key root-2.pem
  ota keyset sign sensor_v1.request --signer 'token-sign --slot 9c' --signer-public root-2.pub.pem`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeTypesOrFiles(e),
		RunE:              func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "where the signed request goes: `FILE` (default: the one it was read from)")
	o.add(cmd, "a root key")
	o.pass.FileFlag(cmd.Flags())
	return cmd
}

// completeTypesOrFiles completes device types, and files beside them.
func completeTypesOrFiles(e *env.Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		types, _ := CompleteTypes(e)(cmd, args, prefix)
		return types, cobra.ShellCompDirectiveDefault
	}
}

func (o *keysetSignOptions) run(arg string) error {
	h, err := o.env.HomeIfAny()
	if err != nil {
		return err
	}
	if h != nil {
		types, err := h.Types()
		if err != nil {
			return err
		}
		if slices.Contains(types, arg) {
			return o.signInHome(h, arg)
		}
	}
	return o.signFile(h, arg)
}

func (o *keysetSignOptions) signInHome(h *home.Home, deviceType string) error {
	if o.output != "" {
		return exit.Usagef("-o goes with a request file; to export from the home: ota keyset request")
	}
	r, err := requestOf(h, deviceType)
	if err != nil {
		return err
	}
	if err := o.sign(h, r); err != nil {
		return err
	}
	complete, missing, err := h.PutKeyset(r.raw(), r.bundle.Keys)
	if err != nil {
		return err
	}
	sayKeyset(o.env, r.keyset, complete, missing)
	return nil
}

func (o *keysetSignOptions) signFile(h *home.Home, file string) error {
	data, err := o.env.ReadFile(file, trust.MaxBundle)
	if err != nil {
		return err
	}
	b, err := readKeysets(data)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	r, err := newRequest(b)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if o.output == "" {
		o.output = file
	}
	if err := o.sign(h, r); err != nil {
		return err
	}
	if data, err = r.bundle.Encode(); err != nil {
		return err
	}
	if err := o.env.WriteFile(o.output, data, 0o644); err != nil || o.output == "-" {
		return err
	}
	o.env.Say("signed; next, where it came from: ota keyset import %s", o.output)
	return nil
}

// sign shows what is about to be signed before it asks for a passphrase.
func (o *keysetSignOptions) sign(h *home.Home, r *request) error {
	err := r.show(h, func(said record.Record) error {
		if o.output == "-" {
			return o.env.PrintTo(o.env.Stderr, said)
		}
		return o.env.Print(said)
	})
	if err != nil {
		return err
	}
	var signers []signer
	if o.given() {
		signers, err = o.load(h)
	} else {
		signers, err = r.rootsAtHand(&o.signerFlags, h)
	}
	if err != nil {
		return err
	}
	return r.sign(signers)
}

func sayKeyset(e *env.Env, ks *trust.Keyset, complete bool, missing error) {
	if complete {
		e.Say("keyset version %d of %s is signed and is now the newest", ks.Version, ks.DeviceType)
		return
	}
	e.Say("keyset version %d of %s waits for more signatures (%v)", ks.Version, ks.DeviceType, missing)
}
