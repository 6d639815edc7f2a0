package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
)

// maxCheckpoint bounds what is read of a checkpoint, in bytes.
const maxCheckpoint = 8 << 10

func auditVerifyCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	var files []string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Recompute the whole audit log and hold it against its checkpoints",
		Long: `Recompute the hash chain of the audit log, and hold it against the server's own checkpoints and
those kept elsewhere: with one of these, whoever took over the server cannot have rewritten what
it covers. Exit code 1 says that the log was changed, and names the first record that is wrong.`,
		Example: `  ota audit verify --data /var/lib/ota
  ota audit verify --checkpoint 2026-01.checkpoint`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var checkpoints [][]byte
			for _, name := range files {
				raw, err := e.ReadFile(name, maxCheckpoint)
				if err != nil {
					return err
				}
				checkpoints = append(checkpoints, raw)
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				state, err := m.VerifyAudit(ctx, checkpoints)
				if err != nil {
					return err
				}
				return e.PrintData(state, record.Record{
					{Name: "verified", Value: true},
					{Name: "records", Value: state.Records},
					{Name: "head", Value: state.Head},
					{Name: "checkpoints", Value: state.Checkpoints, Note: "that match"},
					{Name: "confirmed", Value: state.Confirmed, Note: "the newest record that a checkpoint confirms"},
				})
			})
		},
	}
	cmd.Flags().StringArrayVar(&files, "checkpoint", nil, "a checkpoint `FILE` that was kept elsewhere; may be repeated")
	t.flags(cmd)
	return cmd
}
