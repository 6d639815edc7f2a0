package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
)

func releaseShowCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:   "show TYPE VERSION | IDENTITY",
		Short: "Show a release",
		Example: `  ota release show sensor_v1 2.1.0
  ota release show 017b5c4f8fd68bb0`,
		Args:              releaseArgs,
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				r, err := findRelease(ctx, m, args)
				if err != nil {
					return err
				}
				return e.PrintData(r, releaseRecord(r))
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// minPrefix is the fewest digits that name a release.
const minPrefix = 8

// releaseArgs wants TYPE VERSION, or enough digits of an identity.
func releaseArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && len(args[0]) < minPrefix {
		return fmt.Errorf("%q: want TYPE VERSION, or %d or more digits of an identity", args[0], minPrefix)
	}
	return cobra.RangeArgs(1, 2)(cmd, args)
}

// findRelease returns the release that TYPE VERSION, or an identity or the
// beginning of one, names. Of several of one version it is the newest.
func findRelease(ctx context.Context, m api.Management, args []string) (api.Release, error) {
	deviceType, matches := "", func(r api.Release) bool { return strings.HasPrefix(r.Identity.String(), args[0]) }
	if len(args) == 2 {
		deviceType, matches = args[0], func(r api.Release) bool { return r.Version.String() == args[1] }
	}
	list, err := m.Releases(ctx, deviceType)
	if err != nil {
		return api.Release{}, err
	}
	for _, r := range list {
		if matches(r) {
			return r, nil
		}
	}
	return api.Release{}, fmt.Errorf("release %s: %w", strings.Join(args, " "), api.ErrNotFound)
}
