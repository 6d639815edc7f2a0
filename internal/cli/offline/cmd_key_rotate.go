package offline

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

type keyRotateOptions struct {
	env       *env.Env
	pass      *passphrase.Source
	revoke    bool
	algorithm algorithm
}

func keyRotateCommand(e *env.Env) *cobra.Command {
	o := keyRotateOptions{env: e, pass: e.Passphrase(), algorithm: algorithm{trust.PS256, signing.DefaultRSABits}}
	cmd := &cobra.Command{
		Use:   "rotate TYPE",
		Short: "Make the next release key of a device type, and ask for a keyset with it",
		Long: `Make the next release key of a device type, of the next key epoch, and the keyset that lists it.
The keyset waits for the roots: "ota keyset sign TYPE" where they are at hand, "ota keyset request
TYPE" where they are not.

Devices take both keys until a later keyset drops the old one (ota keyset new --remove-release).
--revoke drops it at once, as for a key that was stolen: every release of the new epoch is then
above anything the old key can sign. What devices have installed keeps booting.

Root keys are rotated with "ota keyset new": --add-root, --remove-root.`,
		Example: `  ota key rotate sensor_v1
  ota key rotate sensor_v1 --revoke && ota keyset sign sensor_v1`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: CompleteTypes(e),
		RunE:              func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.revoke, "revoke", false, "drop the release keys of earlier epochs at once")
	textFlag(flags, &o.algorithm, "algorithm", "PS256, PS256-3072, PS256-4096, ESP256 or Ed25519 (default PS256)")
	o.pass.Flags(flags)
	cmd.MarkFlagsMutuallyExclusive("passphrase-file", "no-passphrase")
	cmd.RegisterFlagCompletionFunc("algorithm", cobra.FixedCompletions(algorithms, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *keyRotateOptions) run(deviceType string) error {
	h, err := o.env.Home()
	if err != nil {
		return err
	}
	held, err := h.Newest(deviceType)
	if err != nil {
		return err
	}
	// A request that waits would refuse the new keyset after the key is made.
	waiting, err := h.Request(deviceType)
	if err != nil {
		return err
	}
	if waiting != nil {
		return fmt.Errorf("rotate release key of %s: %w", deviceType, home.ErrOtherRequest)
	}
	next := cloneKeyset(held.Keyset())
	next.Version++
	epoch := uint32(0)
	for _, k := range next.Releases {
		epoch = max(epoch, k.Epoch)
	}
	last, err := h.LastSequence(deviceType)
	if err != nil {
		return err
	}
	epoch = max(epoch, last.Epoch()) + 1
	secret, err := o.pass.ForNewKeys("the new release key")
	if err != nil {
		return err
	}
	entries, err := generateReleaseKeys(h, deviceType, o.algorithm, epoch, next.ReleaseThreshold, secret)
	if err != nil {
		return err
	}
	if o.revoke {
		next.Releases = nil
	}
	next.Releases = append(next.Releases, entries...)
	return putUnsigned(o.env, h, next)
}

// putUnsigned makes ks the request of its device type and shows it.
func putUnsigned(e *env.Env, h *home.Home, ks *trust.Keyset) error {
	raw, err := trust.UnsignedKeyset(ks)
	if err != nil {
		return err
	}
	_, missing, err := h.PutKeyset(raw, nil)
	if err != nil {
		return err
	}
	if err := printRequest(e, h, ks.DeviceType); err != nil {
		return err
	}
	e.Say("it waits for signatures (%v)", missing)
	e.Say("next: ota keyset sign %[1]s, or where the roots are elsewhere: ota keyset request %[1]s -o FILE", ks.DeviceType)
	return nil
}

// cloneKeyset copies a verified keyset, which is not to be changed.
func cloneKeyset(ks *trust.Keyset) *trust.Keyset {
	c := *ks
	c.Roots = slices.Clone(ks.Roots)
	c.Releases = slices.Clone(ks.Releases)
	return &c
}
