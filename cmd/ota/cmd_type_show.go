package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
)

func typeShowCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:               "show TYPE",
		Short:             "Show the settings of a device type",
		Example:           "  ota type show sensor_v1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				s, err := m.DeviceType(ctx, args[0])
				if err != nil {
					return err
				}
				return e.PrintData(s, typeRecord(s))
			})
		},
	}
	t.flags(cmd)
	return cmd
}
