package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
)

func rolloutCreateCommand(e *env.Env) *cobra.Command {
	t, f := target{env: e}, rolloutFlags{}
	cmd := &cobra.Command{
		Use:   "create NAME TYPE VERSION",
		Short: "Create a rollout, which does nothing until it is started",
		Long:  "Create a rollout of a release: a draft, which does nothing until it is started (ota rollout start).\n\n" + rolloutSpecLong,
		Example: `  ota rollout create spring sensor_v1 2.1.0
  ota rollout create spring sensor_v1 2.1.0 --filter 'label.site=berlin' --stage 10,soak=4h --stage 50%,gate --stage 100% \
    --pace 100 --window 'sat,sun 00:00-06:00'`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				spec, err := f.read(ctx, m, args)
				if err != nil {
					return err
				}
				r, err := m.CreateRollout(ctx, spec)
				if err != nil {
					return err
				}
				return e.PrintData(r, rolloutRecord(r))
			})
		},
	}
	t.flags(cmd)
	f.flags(cmd)
	return cmd
}
