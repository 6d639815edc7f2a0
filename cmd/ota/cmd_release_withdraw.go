package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
)

func releaseWithdrawCommand(e *env.Env) *cobra.Command {
	t, reason := target{env: e}, ""
	cmd := &cobra.Command{
		Use:   "withdraw TYPE VERSION | IDENTITY",
		Short: "Offer a release to no more devices",
		Long: `Offer a release to no more devices. Devices that have it keep it: to bring them back, publish a
newer release or an approved downgrade (ota release downgrade). It cannot be undone.`,
		Example:           `  ota release withdraw sensor_v1 2.1.0 --reason "drains the battery"`,
		Args:              releaseArgs,
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				r, err := findRelease(ctx, m, args)
				if err != nil {
					return err
				}
				if err := m.WithdrawRelease(ctx, r.Identity, reason); err != nil {
					return err
				}
				if r, err = m.Release(ctx, r.Identity); err != nil {
					return err
				}
				return e.PrintData(r, releaseRecord(r))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log: a `TEXT`")
	cmd.MarkFlagRequired("reason")
	return cmd
}
