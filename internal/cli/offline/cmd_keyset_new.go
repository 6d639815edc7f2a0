package offline

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/trust"
)

type keysetNewOptions struct {
	env              *env.Env
	flags            func(name string) bool // whether a flag was given
	addRoots         []string
	removeRoots      []string
	rootThreshold    int
	addReleases      []string
	removeReleases   []string
	releaseThreshold int
	epoch            uint32
	floor            uint32
	serviceSkips     bool
}

func keysetNewCommand(e *env.Env) *cobra.Command {
	o := keysetNewOptions{env: e}
	cmd := &cobra.Command{
		Use:   "new TYPE",
		Short: "Make the next keyset of a device type, to be signed by the roots",
		Long: `Make the next keyset of a device type: the newest one with the changes that the flags say, or
for a new type the first one, with the roots that the other types have. It waits for signatures
until "ota keyset sign" or "ota keyset import" bring enough.

A device takes a keyset if and only if the root threshold of the keyset it holds and the root
threshold of the new one signed it. So a root is replaced while enough of the old ones are left.

--floor raises the security floor: devices refuse releases with a lower security counter.`,
		Example: `  ota keyset new pump --add-release release-pump-1                  # first keyset of a type
  ota keyset new sensor_v1 --remove-release release-sensor_v1-1     # after ota key rotate
  ota keyset new sensor_v1 --add-root root-4 --remove-root root-1
  ota keyset new sensor_v1 --floor 3`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.flags = cmd.Flags().Changed
			return o.run(args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.addRoots, "add-root", nil, "add the root `KEY`, a name in the home; may be repeated")
	flags.StringArrayVar(&o.removeRoots, "remove-root", nil, "drop the root `KEY`; may be repeated")
	flags.IntVar(&o.rootThreshold, "root-threshold", 0, "the `NUMBER` of roots that must sign a keyset")
	flags.StringArrayVar(&o.addReleases, "add-release", nil, "add the release `KEY`, a name in the home; may be repeated")
	flags.StringArrayVar(&o.removeReleases, "remove-release", nil, "drop (revoke) the release `KEY`; may be repeated")
	flags.IntVar(&o.releaseThreshold, "release-threshold", 0, "the `NUMBER` of release keys that must sign a manifest")
	flags.Uint32Var(&o.epoch, "epoch", 0, "key epoch of --add-release, a `NUMBER` (default: the next)")
	flags.Uint32Var(&o.floor, "floor", 0, "security floor: the lowest security counter devices install, a `NUMBER`")
	flags.BoolVar(&o.serviceSkips, "service-skips-freshness", false, "a physical service port may install without an authenticated response")
	for _, name := range []string{"add-root", "remove-root", "add-release", "remove-release"} {
		cmd.RegisterFlagCompletionFunc(name, completeKeys(e))
	}
	return cmd
}

func (o *keysetNewOptions) run(deviceType string) error {
	h, err := o.env.Home()
	if err != nil {
		return err
	}
	ks, err := o.base(h, deviceType)
	if err != nil {
		return err
	}
	if err := o.change(h, ks); err != nil {
		return err
	}
	return putUnsigned(o.env, h, ks)
}

// base returns what the new keyset starts from.
func (o *keysetNewOptions) base(h *home.Home, deviceType string) (*trust.Keyset, error) {
	held, err := h.Newest(deviceType)
	if err == nil {
		ks := cloneKeyset(held.Keyset())
		ks.Version++
		return ks, nil
	}
	if !errors.Is(err, home.ErrNoKeyset) {
		return nil, err
	}
	ks := &trust.Keyset{Vendor: h.Vendor(), DeviceType: deviceType, Version: 1, ReleaseThreshold: 1}
	ks.Roots, ks.RootThreshold, err = commonRoots(h)
	return ks, err
}

// commonRoots returns the roots of the other device types if they all have the
// same, else none: then somebody has to say.
func commonRoots(h *home.Home) ([]trust.SignerKey, int, error) {
	types, err := h.Types()
	if err != nil {
		return nil, 0, err
	}
	var roots []trust.SignerKey
	threshold := 0
	for _, t := range types {
		held, err := h.Newest(t)
		if errors.Is(err, home.ErrNoKeyset) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		ks := held.Keyset()
		if threshold != 0 && (threshold != ks.RootThreshold || !slices.Equal(roots, ks.Roots)) {
			return nil, 0, nil
		}
		roots, threshold = slices.Clone(ks.Roots), ks.RootThreshold
	}
	return roots, threshold, nil
}

// change applies the flags.
func (o *keysetNewOptions) change(h *home.Home, ks *trust.Keyset) error {
	var err error
	if ks.Roots, err = o.changeList(h, ks.Roots, o.addRoots, o.removeRoots, home.ForRoot, 0); err != nil {
		return err
	}
	epoch := o.epoch
	if epoch == 0 {
		chain, err := h.Keysets(ks.DeviceType)
		if err != nil {
			return err
		}
		epoch = newestEpoch(chain) + 1
	}
	if ks.Releases, err = o.changeList(h, ks.Releases, o.addReleases, o.removeReleases, home.ReleaseOf(ks.DeviceType), epoch); err != nil {
		return err
	}
	switch {
	case o.flags("root-threshold"):
		ks.RootThreshold = o.rootThreshold
	case ks.RootThreshold == 0:
		ks.RootThreshold = len(ks.Roots)/2 + 1
	}
	if o.flags("release-threshold") {
		ks.ReleaseThreshold = o.releaseThreshold
	}
	if o.flags("service-skips-freshness") {
		ks.ServiceSkipsFreshness = o.serviceSkips
	}
	if o.flags("floor") {
		if o.floor < ks.SecurityFloor {
			return fmt.Errorf("--floor %d: %w: it is %d and never falls", o.floor, trust.ErrBelowFloor, ks.SecurityFloor)
		}
		ks.SecurityFloor = o.floor
	}
	return nil
}

func (o *keysetNewOptions) changeList(h *home.Home, list []trust.SignerKey, add, remove []string, purpose home.Purpose, epoch uint32) ([]trust.SignerKey, error) {
	for _, name := range remove {
		k, err := h.Key(name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(s trust.SignerKey) bool { return s.ID == k.Public.ID() })
		if i < 0 {
			return nil, exit.Usagef("key %s is not in the keyset", name)
		}
		list = slices.Delete(list, i, i+1)
	}
	for _, name := range add {
		k, err := h.Key(name)
		if err != nil {
			return nil, err
		}
		if k.Purpose != purpose {
			return nil, fmt.Errorf("key %s: %w: its purpose is %q, want %q", name, ErrWrongPurpose, k.Purpose, purpose)
		}
		list = append(list, trust.SignerKey{ID: k.Public.ID(), Algorithm: k.Public.Algorithm(), Epoch: epoch})
	}
	return list, nil
}

// ErrWrongPurpose means that a key was made for something else.
var ErrWrongPurpose = errors.New("the key has another use")
