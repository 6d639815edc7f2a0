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
		Use:     "list",
		Short:   "List the operators' tokens, without their secrets",
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
						{Name: "created", Value: moment(o.CreatedAt)},
						{Name: "expires", Value: moment(o.ExpiresAt)},
					})
				}
				return e.PrintData(list, rows)
			})
		},
	}
	t.flags(cmd)
	return cmd
}
