package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	semver "github.com/secure-ota/secure-ota/version"
)

type downgradeOptions struct {
	env    *env.Env
	target target
	spec   *offline.ReleaseSpec
	to     string
	from   []string
	reason string
}

func releaseDowngradeCommand(e *env.Env) *cobra.Command {
	o := downgradeOptions{env: e, target: target{env: e}, spec: offline.NewReleaseSpec(e)}
	cmd := &cobra.Command{
		Use:   "downgrade TYPE",
		Short: "Approve going back to an older version, and publish it under a higher sequence",
		Long: `Publish an older version again: a new manifest with a higher sequence for the old image, flagged as
a downgrade and naming the installed releases it applies to. The approval is recorded in the home.

What the old release was comes from the home's own record of what it published, never from the
server, whose word must not be signed. A release below the security floor is refused: its flaw is
known. Withdraw the bad release, too, or devices that are behind still get it.`,
		Example: `  ota release downgrade sensor_v1 --to 1.5.0 --reason "2.0.0 drains the battery" --key release-sensor_v1-1
  ota release downgrade sensor_v1 --to 1.5.0 --from 1.7 --reason "only 1.7 is affected" --key release-sensor_v1-1`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.to, "to", "", "the `VERSION` to go back to")
	flags.StringArrayVar(&o.from, "from", nil, "an installed `SEQUENCE` it applies to; may be repeated (default: all published after it)")
	flags.StringVar(&o.reason, "reason", "", "why, for the record: a `TEXT`")
	o.spec.SignerFlags(cmd)
	o.target.flags(cmd)
	for _, name := range []string{"to", "reason"} {
		cmd.MarkFlagRequired(name)
	}
	cmd.MarkFlagsOneRequired("key", "signer")
	return cmd
}

func (o *downgradeOptions) run(ctx context.Context, deviceType string) error {
	to, err := semver.Parse(o.to)
	if err != nil {
		return exit.Usagef("--to: %w", err)
	}
	h, err := o.env.Home()
	if err != nil {
		return err
	}
	old, err := o.describe(h, deviceType, to)
	if err != nil {
		return err
	}
	newest, err := h.Newest(deviceType)
	if err != nil {
		return err
	}
	return publishAlone(o.env, h, func() error {
		return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
			above, err := published(ctx, m, h, deviceType, o.spec.Component, false)
			if err != nil {
				return err
			}
			if _, err := h.AllowRollbackTo(deviceType, old.Version, userName(), o.reason, newest.Keyset().SecurityFloor); err != nil {
				return err
			}
			r, err := o.spec.Build(h, "", above)
			if err != nil {
				return err
			}
			return publish(ctx, o.env, m, h, r, "")
		})
	})
}

// describe fills in the release by the home's record of the old one.
func (o *downgradeOptions) describe(h *home.Home, deviceType string, to semver.Version) (rollback.Entry, error) {
	state, err := h.Releases(deviceType)
	if err != nil {
		return rollback.Entry{}, err
	}
	i := slices.IndexFunc(state.History, func(e rollback.Entry) bool { return e.Version == to })
	if i < 0 {
		return rollback.Entry{}, fmt.Errorf("go back to %s %s: %w", deviceType, to, errNotPublishedHere)
	}
	old := state.History[i]
	if o.spec.DowngradeFrom, err = o.appliesTo(state.History, old); err != nil {
		return rollback.Entry{}, err
	}
	o.spec.DeviceType, o.spec.Version, o.spec.Notes = deviceType, old.Version, "Back to "+old.Version.String()+": "+o.reason
	o.spec.SecurityCounter = old.SecurityCounter
	o.spec.ImageDigest, o.spec.ImageSize = old.ImageDigest, int64(old.ImageSize)
	return old, nil
}

// errNotPublishedHere means that the home has no record of the version.
var errNotPublishedHere = errors.New("this home did not publish that version")

// appliesTo returns the installed sequences that the downgrade is for.
func (o *downgradeOptions) appliesTo(history []rollback.Entry, old rollback.Entry) ([]manifest.Sequence, error) {
	var from []manifest.Sequence
	for _, text := range o.from {
		s, err := manifest.ParseSequence(text)
		if err != nil {
			return nil, exit.Usagef("--from: %w", err)
		}
		from = append(from, s)
	}
	if len(from) > 0 {
		return from, nil
	}
	for _, e := range history {
		if e.Sequence > old.Sequence && e.Version != old.Version {
			from = append(from, e.Sequence)
		}
	}
	if len(from) == 0 {
		return nil, fmt.Errorf("go back to %s: nothing was published after it", old.Version)
	}
	if len(from) > manifest.MaxDowngradeFrom {
		from = from[len(from)-manifest.MaxDowngradeFrom:]
	}
	return from, nil
}
