package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceRevokeCommand(e *env.Env) *cobra.Command {
	t, reason := target{env: e}, ""
	cmd := &cobra.Command{
		Use:               "revoke TYPE ID",
		Short:             "Shut a device out: it is answered like one that does not exist",
		Example:           `  ota device revoke sensor_v1 dev-0001 --reason stolen`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref := fleet.Ref{DeviceType: args[0], ID: args[1]}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				if err := m.RevokeDevice(ctx, ref, reason); err != nil {
					return err
				}
				d, err := m.Device(ctx, ref)
				if err != nil {
					return err
				}
				return e.PrintData(d, deviceRecord(d))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log: a `TEXT`")
	cmd.MarkFlagRequired("reason")
	return cmd
}
