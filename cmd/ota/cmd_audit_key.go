package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
)

func auditKeyCommand(e *env.Env) *cobra.Command {
	t, output := target{env: e}, ""
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Write the public audit key of the server, which verifies checkpoints and reports",
		Long: `Write the public audit key of the server as PEM. Do it once, and keep it where the server cannot reach it: a key
that comes with what it is to verify proves nothing.`,
		Example: `  ota audit key -o audit.pub.pem`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				key, err := serverAuditKey(ctx, m)
				if err != nil {
					return err
				}
				return e.WriteFile(output, key.PEM(), 0o644)
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "-", "where it goes: `FILE`, or - for standard output")
	t.flags(cmd)
	return cmd
}
