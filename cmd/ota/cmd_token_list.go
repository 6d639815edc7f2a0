package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
)

func tokenListCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the operators' tokens, without their secrets",
		Long: `List the operators' tokens: role, what narrows it, when it expires, and when it was last used, to the
minute. One that was not used for long is one to revoke.`,
		Example: "  ota token list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				list, err := m.Tokens(ctx)
				if err != nil {
					return err
				}
				rows := record.Table{}
				for _, o := range list {
					rows = append(rows, record.Record{
						{Name: "name", Value: o.Name},
						{Name: "role", Value: o.Role},
						{Name: "types", Value: o.DeviceTypes},
						{Name: "only", Value: o.Actions},
						{Name: "created", Value: moment(o.CreatedAt)},
						{Name: "expires", Value: moment(o.ExpiresAt)},
						{Name: "last used", Value: moment(o.UsedAt)},
					})
				}
				return e.PrintData(list, rows)
			})
		},
	}
	t.flags(cmd)
	return cmd
}
