package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
)

func tokenAddCommand(e *env.Env) *cobra.Command {
	t, role, valid := target{env: e}, "", time.Duration(0)
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make an operator's token, which is shown this once",
		Long: `Make an operator's token. Roles: viewer sees everything but secrets, publisher adds signed keysets
and releases, administrator adds devices and tokens and withdraws releases.`,
		Example: `  ota token add ci --role publisher --valid 8760h`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			parsed, err := auth.ParseRole(role)
			if err != nil {
				return exit.Usagef("--role: %w", err)
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				token, err := m.AddToken(ctx, auth.NewOperator{Name: args[0], Role: parsed, Valid: valid})
				if err != nil {
					return err
				}
				return e.Print(record.Record{
					{Name: "name", Value: args[0]},
					{Name: "role", Value: parsed},
					{Name: "token", Value: token.Reveal(), Note: "shown this once"},
				})
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "`ROLE`: viewer, publisher or administrator")
	cmd.Flags().DurationVar(&valid, "valid", 0, "how long it is good: a `TIME` such as 8760h (default: until it is revoked)")
	cmd.MarkFlagRequired("role")
	cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"viewer", "publisher", "administrator"}, cobra.ShellCompDirectiveNoFileComp))
	t.flags(cmd)
	return cmd
}
