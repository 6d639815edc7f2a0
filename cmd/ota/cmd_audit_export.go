package main

import (
	"context"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/cli/env"
)

func auditExportCommand(e *env.Env) *cobra.Command {
	t, output := target{env: e}, ""
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the whole audit log, one record of JSON a line",
		Example: `  ota audit export -o audit.jsonl
  ota report verify report.json --audit-key audit.pub.pem --log audit.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				return writeTo(e, output, func(w io.Writer) error { return audit.Export(w, api.AuditLog(ctx, m, math.MaxInt64)) })
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "-", "where it goes: `FILE`, which must not exist")
	t.flags(cmd)
	return cmd
}
