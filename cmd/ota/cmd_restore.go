package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/backup"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/trust"
)

type restoreOptions struct {
	env        *env.Env
	data       string
	passphrase *passphrase.Source
	keep       bool
}

func restoreCommand(e *env.Env) *cobra.Command {
	o := restoreOptions{env: e, passphrase: e.Passphrase()}
	cmd := &cobra.Command{
		Use:   "restore DIR|FILE|-",
		Short: "Make a data directory from a backup",
		Long: `Make a data directory from what ota backup wrote. The data directory must be empty or not there; it
appears when everything in it has been checked as by ota fsck, or not at all.

Operators' tokens, and enrolment codes that were not used, end: one that was revoked since the backup
was made would be good again. The next start of ota serve prints a new administrator's token.
--keep-tokens keeps them, for a backup of a server that you have just stopped. Devices that were
revoked, and releases that were withdrawn since then, have to be so again: docs/operations.md.`,
		Example: `  ota restore /backup/ota-2026-01-31 --data /var/lib/ota --passphrase-file /etc/ota/backup.pass
  ssh vault 'cat ota.tar' | ota restore - --data /var/lib/ota --passphrase-file /etc/ota/backup.pass`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&o.data, "data", "", "data `DIR` to be made (default: that of the home)")
	cmd.Flags().BoolVar(&o.keep, "keep-tokens", false, "operators' tokens and unused enrolment codes stay good")
	o.passphrase.FileFlag(cmd.Flags())
	return cmd
}

func (o *restoreOptions) run(ctx context.Context, name string) (err error) {
	ctx, stop := interruptible(ctx)
	defer stop()
	data, err := dataDir(o.env, o.data)
	if err != nil {
		return err
	}
	from, closing, err := o.source(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing()) }()
	r, err := backup.Restore(ctx, from, data, backup.RestoreOptions{
		Passphrase: o.passphrase.ForKey("the secrets in the backup"),
		By:         auth.Actor{Name: "local:" + userName(), Role: auth.Administrator},
		KeepTokens: o.keep, AuditKey: publicAuditKey,
	})
	if err != nil {
		return err
	}
	err = o.env.PrintData(r, record.Record{
		{Name: "data", Value: data},
		{Name: "backup of", Value: moment(r.Backup.Created)},
		{Name: "releases", Value: r.Report.Releases},
		{Name: "images", Value: r.Report.Images},
		{Name: "audit record", Value: r.Backup.AuditRecord, Note: "the newest of the backup; what came after it is lost"},
		{Name: "secrets", Value: r.Backup.Secrets},
		{Name: "tokens ended", Value: r.Settled.Tokens},
		{Name: "codes ended", Value: r.Settled.Codes},
	})
	if err != nil {
		return err
	}
	if r.Backup.Secrets == backup.SecretsNone {
		o.env.Warn("the backup holds no secrets: put them into %s/secrets before the server starts, or no device with a key is served", data)
	}
	o.env.Say("next: revoke and withdraw again what was since then (docs/operations.md), and start the server: ota serve --data %s", data)
	return nil
}

// source opens a backup in the form that it has.
func (o *restoreOptions) source(name string) (backup.Source, func() error, error) {
	nothing := func() error { return nil }
	if name == "-" {
		return backup.FromTar{Reader: o.env.Stdin}, nothing, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, nothing, env.AboutFile(name, err)
	}
	if info.IsDir() {
		return backup.FromDir(name), nothing, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nothing, env.AboutFile(name, err)
	}
	return backup.FromTar{Reader: f}, f.Close, nil
}

// publicAuditKey returns what verifies the checkpoints of a data directory,
// zero if its secrets are not there.
func publicAuditKey(data string) (trust.PublicKey, error) {
	key, err := loadAuditKey(data)
	if err != nil || key == nil {
		return trust.PublicKey{}, err
	}
	return key.Public(), nil
}
