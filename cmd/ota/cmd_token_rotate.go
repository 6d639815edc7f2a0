package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
)

func tokenRotateCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Replace the secret of an operator's token, which ends the old one at once",
		Long: `Replace the secret of an operator's token. Name, role and what narrows it stay; one that expires is
good for as long as it was, from now on. The old secret ends at once: for a change without a gap make
a second token first, and revoke this one.`,
		Example: `  ota token rotate ci`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				token, err := m.RotateToken(ctx, args[0])
				if err != nil {
					return err
				}
				return e.Print(record.Record{
					{Name: "name", Value: args[0]},
					{Name: "token", Value: token.Reveal(), Note: "shown this once"},
				})
			})
		},
	}
	t.flags(cmd)
	return cmd
}
