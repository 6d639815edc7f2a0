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
		ValidArgsFunction: CompleteTypeArg(e),
		RunE:              func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.revoke, "revoke", false, "drop the release keys of earlier epochs at once")
	textFlag(flags, &o.algorithm, "algorithm", "`NAME` of the algorithm: PS256, PS256-3072, PS256-4096, ESP256 or Ed25519 (default PS256)")
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
	chain, err := h.Keysets(deviceType)
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
	last, err := h.LastSequence(deviceType)
	if err != nil {
		return err
	}
	epoch := max(newestEpoch(chain), last.Epoch()) + 1
	entries, err := o.releaseKeys(h, deviceType, epoch, next.ReleaseThreshold)
	if err != nil {
		return err
	}
	if o.revoke {
		next.Releases = nil
	}
	next.Releases = append(next.Releases, entries...)
	return putUnsigned(o.env, h, next)
}

// releaseKeys returns the keys of an epoch that no keyset had yet: those that an
// earlier rotation made, if it did not come about, or new ones.
func (o *keyRotateOptions) releaseKeys(h *home.Home, deviceType string, epoch uint32, count int) ([]trust.SignerKey, error) {
	var entries []trust.SignerKey
	for _, name := range releaseKeyNames(deviceType, epoch, count) {
		k, err := h.Key(name)
		if err != nil || k.Purpose != home.ReleaseOf(deviceType) {
			break
		}
		entries = append(entries, trust.SignerKey{ID: k.Public.ID(), Algorithm: k.Public.Algorithm(), Epoch: epoch})
	}
	if len(entries) == count {
		o.env.Say("an earlier rotation made the keys of epoch %d, and no keyset lists them yet: they are taken", epoch)
		return entries, nil
	}
	secret, err := o.pass.ForNewKeys("the new release key")
	if err != nil {
		return nil, err
	}
	return generateReleaseKeys(h, deviceType, o.algorithm, epoch, count, secret)
}

// newestEpoch returns the newest key epoch of all keysets of a type, dropped
// keys among them: what a stolen one signed is above all that a new key of the
// same epoch could sign.
func newestEpoch(chain []trust.VerifiedKeyset) (epoch uint32) {
	for _, ks := range chain {
		for _, k := range ks.Keyset().Releases {
			epoch = max(epoch, k.Epoch)
		}
	}
	return epoch
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
