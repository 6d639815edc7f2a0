package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/trust"
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
				if err := checkKept(ctx, m, files, checkpoints); err != nil {
					return err
				}
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

// errForeignCheckpoint means that a checkpoint is none of this log.
var errForeignCheckpoint = errors.New("it is not signed by the audit key of this server")

// checkKept says which of the files is no checkpoint of this server. Whether
// they match the log is the verification's business, not this one's.
func checkKept(ctx context.Context, m api.Management, files []string, checkpoints [][]byte) error {
	info, err := m.Info(ctx)
	if err != nil || len(info.AuditKey) == 0 {
		return err
	}
	key, err := trust.ParseCOSEKey(info.AuditKey)
	if err != nil {
		return fmt.Errorf("audit key: %w", err)
	}
	for i, raw := range checkpoints {
		_, err := audit.OpenCheckpoint(raw, key)
		if errors.Is(err, trust.ErrNotEnoughSigners) {
			err = errForeignCheckpoint
		}
		if err != nil {
			return fmt.Errorf("checkpoint %s: %w", files[i], err)
		}
	}
	return nil
}
