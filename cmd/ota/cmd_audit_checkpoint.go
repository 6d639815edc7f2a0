package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
)

func auditCheckpointCommand(e *env.Env) *cobra.Command {
	t, output := target{env: e}, ""
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Sign the present head of the audit log, to be kept elsewhere",
		Long: `Sign the present head of the audit log with the server's audit key. Kept where the server cannot
reach it, it proves later what the log held now: ota audit verify --checkpoint FILE.`,
		Example: `  ota audit checkpoint -o 2026-01.checkpoint`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				c, err := m.AuditCheckpoint(ctx)
				if err != nil {
					return err
				}
				if err := e.WriteFile(output, c.Signed, 0o644); err != nil || output == "-" {
					return err
				}
				return e.Print(record.Record{
					{Name: "record", Value: c.Seq},
					{Name: "hash", Value: c.Hash},
					{Name: "checkpoint", Value: output},
				})
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "-", "where it goes: `FILE`, or - for standard output")
	t.flags(cmd)
	return cmd
}
