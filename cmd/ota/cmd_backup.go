package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/backup"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/passphrase"
	"github.com/secure-ota/secure-ota/internal/cli/progress"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/repository"
)

// Refusals of a directory that is none of a server, and of one whose database is
// elsewhere. The latter may hold an old database, of before it was moved.
var (
	errNoDatabase = errors.New("there is no database in it")
	errElsewhere  = errors.New("the database is elsewhere")
)

type backupOptions struct {
	env        *env.Env
	data       string
	storage    storage
	passphrase *passphrase.Source
	noSecrets  bool
	link       bool
}

func backupCommand(e *env.Env) *cobra.Command {
	o := backupOptions{env: e, passphrase: e.Passphrase()}
	cmd := &cobra.Command{
		Use:   "backup DIR|FILE.tar|-",
		Short: "Copy a data directory while its server runs",
		Long: `Copy a data directory, of one moment, while its server runs: into a directory that is empty or not
there, into a tar file, or as a tar to standard output. ota restore makes a data directory of it again.

The fleet masters and the audit key go with it, encrypted with a passphrase; without them no device
with a key can be served. --no-passphrase writes them as they are, --no-secrets leaves them out, for
whoever keeps them elsewhere. --link makes hard links of the images where that is possible: a quick
copy that protects against mistakes and not against the disk.

A server on PostgreSQL is backed up with that database's own tools, or with ota migrate.`,
		Example: `  ota backup /backup/ota-2026-01-31 --data /var/lib/ota --passphrase-file /etc/ota/backup.pass
  ota backup - --data /var/lib/ota --passphrase-file /etc/ota/backup.pass | ssh vault 'cat > ota.tar'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&o.data, "data", "", "data `DIR` (default: that of the home)")
	cmd.Flags().BoolVar(&o.noSecrets, "no-secrets", false, "leave fleet masters, audit key and TLS key out")
	cmd.Flags().BoolVar(&o.link, "link", false, "hard links of images instead of copies, where possible")
	o.passphrase.FileFlag(cmd.Flags())
	cmd.Flags().BoolVar(&o.passphrase.None, "no-passphrase", false, "write the secrets unencrypted")
	cmd.MarkFlagsMutuallyExclusive("no-secrets", "no-passphrase")
	cmd.MarkFlagsMutuallyExclusive("no-secrets", "passphrase-file")
	return cmd
}

func (o *backupOptions) run(ctx context.Context, name string) (err error) {
	ctx, stop := interruptible(ctx)
	defer stop()
	data, err := dataDir(o.env, o.data)
	if err != nil {
		return err
	}
	if err := checkDir(data); err != nil {
		return err
	}
	if err := o.storage.fillFor(o.env, data); err != nil {
		return err
	}
	if o.storage.database != "" {
		return fmt.Errorf("back up %s: %w", data, errElsewhere)
	}
	if _, err := os.Stat(filepath.Join(data, repository.DatabaseName)); err != nil {
		return fmt.Errorf("back up %s: %w: %w", data, errNoDatabase, err)
	}
	options := backup.Options{Secrets: backup.SecretsNone, Program: version, Now: o.env.Now()}
	if !o.noSecrets {
		if options.Passphrase, err = o.passphrase.ForNewKeys("the secrets in the backup"); err != nil {
			return err
		}
		options.Secrets = backup.SecretsEncrypted
		if len(options.Passphrase) == 0 {
			options.Secrets = backup.SecretsPlain
		}
	}
	repo, err := repository.Open(ctx, repository.Config{Dir: data, Blobs: o.storage.blobs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	bar := progress.New(o.env.Stderr, "images", o.env.Now, o.env.Getenv)
	options.Progress = bar.Show
	m, err := o.write(ctx, repo, name, options)
	bar.End()
	if err != nil || name == "-" {
		return err
	}
	return o.env.PrintData(m, record.Record{
		{Name: "backup", Value: name},
		{Name: "images", Value: m.Images},
		{Name: "image bytes", Value: m.ImageBytes},
		{Name: "audit record", Value: m.AuditRecord, Note: "the newest in it"},
		{Name: "secrets", Value: m.Secrets},
	})
}

// write makes the backup in the form that its name asks for.
func (o *backupOptions) write(ctx context.Context, repo *repository.Repository, name string, options backup.Options) (m backup.Manifest, err error) {
	switch {
	case name == "-":
		return writeTar(ctx, repo, o.env.Stdout, options)
	case !strings.HasSuffix(name, ".tar"):
		to, err := backup.NewDir(name, o.link)
		if err != nil {
			return m, err
		}
		if m, err = backup.Create(ctx, repo, to, options); err != nil {
			return m, errors.Join(err, to.Discard())
		}
		return m, nil
	case o.link:
		return m, exit.Usagef("--link goes with a directory, not with a tar file")
	}
	if _, err := os.Stat(name); err == nil {
		return m, &env.FileError{Name: name, Err: &os.PathError{Op: "create", Path: name, Err: os.ErrExist}}
	}
	pending, err := fsatomic.Create(fsatomic.OS(), name, 0o600)
	if err != nil {
		return m, err
	}
	defer pending.Abort()
	if m, err = writeTar(ctx, repo, pending, options); err != nil {
		return m, err
	}
	return m, pending.CommitNew()
}

func writeTar(ctx context.Context, repo *repository.Repository, w io.Writer, options backup.Options) (backup.Manifest, error) {
	to := backup.NewTar(w, options.Now)
	m, err := backup.Create(ctx, repo, to, options)
	if err != nil {
		return m, err // without its end, it is no tar that anybody takes for whole
	}
	return m, to.Close()
}
