package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/report"
	"github.com/secure-ota/secure-ota/trust"
)

// errNoLog means that a report does not carry the log that it follows from.
var errNoLog = errors.New("the report does not carry the audit log")

type reportVerifyOptions struct {
	env    *env.Env
	target target
	key    string
	log    string
}

func reportVerifyCommand(e *env.Env) *cobra.Command {
	o := reportVerifyOptions{env: e, target: target{env: e}}
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Compute a report again from the audit log, and hold it against the audit key",
		Long: `Compute a report again from the audit log that it carries, or from the one of --log, and compare. The log has to
lead without a gap to the checkpoint in the report, which the audit key of the server has to have signed.

Take the audit key from somewhere else than the report: from a checkpoint's owner, or once from the server itself,
which --data or --server asks (ota audit key writes it to a file). Exit code 1 says that the report does not follow
from the log, or the log was changed, and where.

What the report says of itself is not proven: vendor, filter, and when it was made. Times are the server's clock.`,
		Example: `  ota report verify report.json --audit-key audit.pub.pem
  ota report verify berlin.json --audit-key audit.pub.pem --log audit.jsonl
  ota report verify report.json --server https://ota.example.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&o.key, "audit-key", "", "public audit key of the server, in `FILE`")
	cmd.Flags().StringVar(&o.log, "log", "", "the audit log of ota audit export, in `FILE`")
	o.target.flags(cmd)
	cmd.MarkFlagsMutuallyExclusive("audit-key", "data", "server")
	return cmd
}

func (o *reportVerifyOptions) run(ctx context.Context, name string) error {
	key, err := o.auditKey(ctx)
	if err != nil {
		return err
	}
	file, err := o.env.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	r, records, err := report.Read(file)
	if err != nil {
		return fmt.Errorf("report %s: %w", name, err)
	}
	if o.log != "" {
		log, err := o.env.Open(o.log)
		if err != nil {
			return err
		}
		defer log.Close()
		records = audit.Import(log)
	}
	if records == nil {
		return fmt.Errorf("report %s: %w", name, errNoLog)
	}
	if err := report.Verify(r, records, key); err != nil {
		return err
	}
	return o.env.Print(record.Record{
		{Name: "verified", Value: true},
		{Name: "from", Value: r.From.Format(time.RFC3339)},
		{Name: "to", Value: r.To.Format(time.RFC3339)},
		{Name: "devices", Value: len(r.Devices), Note: map[bool]string{true: "all of the log", false: "some of the log"}[r.Complete]},
		{Name: "records", Value: r.Checkpoint.Seq, Note: "of the audit log"},
		{Name: "audit key", Value: key.ID()},
	})
}

func (o *reportVerifyOptions) auditKey(ctx context.Context) (key trust.PublicKey, err error) {
	if o.key != "" {
		raw, err := o.env.ReadFile(o.key, maxCheckpoint)
		if err != nil {
			return key, err
		}
		key, err = trust.ParsePublicKeyPEM(raw)
		if err != nil {
			err = fmt.Errorf("audit key %s: %w", o.key, err)
		}
		return key, err
	}
	if o.target.data == "" && o.target.server == "" {
		return key, exit.Usagef("say whose report it is: --audit-key FILE, --data DIR or --server URL")
	}
	err = o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		key, err = serverAuditKey(ctx, m)
		return err
	})
	return key, err
}

// serverAuditKey asks a server for its public audit key.
func serverAuditKey(ctx context.Context, m api.Management) (key trust.PublicKey, err error) {
	info, err := m.Info(ctx)
	if err != nil {
		return key, err
	}
	if len(info.AuditKey) == 0 {
		return key, api.ErrNoAuditKey
	}
	return trust.ParseCOSEKey(info.AuditKey)
}
