package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
)

func tokenRevokeCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "End an operator's token",
		Long: `End an operator's token, and the console sessions that were opened with it.

oidc:NAME is somebody who logged in by the identity provider, as the audit log calls him: his sessions
end. Close his account there first, or he logs in again.`,
		Example: "  ota token revoke ci\n  ota token revoke oidc:ann@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				return m.RevokeToken(ctx, args[0])
			})
		},
	}
	t.flags(cmd)
	return cmd
}
