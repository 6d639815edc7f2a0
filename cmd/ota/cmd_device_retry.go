package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceRetryCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:               "retry TYPE ID",
		Short:             "Tell a device to try again what it rejected or reverted",
		Example:           "  ota device retry sensor_v1 dev-0001",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				return m.RetryDevice(ctx, fleet.Ref{DeviceType: args[0], ID: args[1]})
			})
		},
	}
	t.flags(cmd)
	return cmd
}
