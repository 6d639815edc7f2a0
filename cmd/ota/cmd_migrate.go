package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/progress"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/repository"
)

type migrateOptions struct {
	env      *env.Env
	from, to string
	data     string
	storage  storage
}

func migrateCommand(e *env.Env) *cobra.Command {
	o := migrateOptions{env: e}
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move a data directory to PostgreSQL and S3, or back",
		Long: `Copy everything that a server stores to another place: releases, images, devices, rollouts, tokens
and the audit log with its chain. One of --from and --to is a data directory, the other the URL of a
PostgreSQL database, whose images are at --blobs. The URL stands there without a password: that
comes from PGPASSWORD, PGPASSFILE, or with the whole URL from --database-file or OTA_DATABASE, and
then --from or --to is left out. S3 takes its keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

End the servers first. The source is only read, and stays as it is. The target must be empty. A
migration that breaks off goes on where it stood when it is run again, and nobody can use the target
before all of it is there and checked (ota fsck). Secrets are files in the data directory and are
not copied: give each replica a copy of its directory secrets (docs/operations-storage.md).

Exit codes: 0 moved and sound, 1 not.`,
		Example: `  ota migrate --from /var/lib/ota --to postgres://ota@db/ota --blobs 's3://firmware/prod?endpoint=https://s3.example.com'
  ota migrate --from /var/lib/ota --database-file db.url --blobs s3://firmware/prod
  ota migrate --from postgres://ota@db/ota --blobs s3://firmware/prod --to /var/lib/ota-new`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "", "data `DIR`, or URL of a database, that is moved")
	flags.StringVar(&o.to, "to", "", "data `DIR`, made if it is missing, or URL of a database, that it is moved to")
	flags.StringVar(&o.storage.databaseFile, "database-file", "", "`FILE` that holds the URL of the database, with its password")
	flags.StringVar(&o.storage.blobs, "blobs", "", "where the images of the database are: s3://BUCKET/PREFIX?endpoint=`URL`&region=REGION, or a directory")
	return cmd
}

func (o *migrateOptions) run(ctx context.Context) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	m, err := o.plan()
	if err != nil {
		return err
	}
	key, err := loadAuditKey(o.data)
	if err != nil {
		return err
	}
	if key != nil {
		m.To.AuditKey = key.Public()
	}
	var bar *progress.Bar
	shown := ""
	m.Progress = func(what string, done, total int64) {
		if what != shown {
			if bar != nil {
				bar.End()
			}
			bar, shown = progress.New(o.env.Stderr, what, time.Now, o.env.Getenv), what
		}
		bar.Show(done, total)
	}
	report, err := repository.Migrate(ctx, m)
	if bar != nil {
		bar.End()
	}
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	o.env.Say("moved; the source is as it was: do not start a server on it again")
	return o.env.PrintData(report, reportRecord(report))
}

// plan says what goes where.
func (o *migrateOptions) plan() (repository.Migration, error) {
	m := repository.Migration{Actor: repository.Actor{Name: "local:" + userName()}}
	if store.IsPostgres(o.from) && store.IsPostgres(o.to) {
		return m, exit.Usagef("one of --from and --to is a data directory; to move from one server to another, move there and back")
	}
	intoDatabase := store.IsPostgres(o.to) || o.to == ""
	switch {
	case intoDatabase:
		o.data, o.storage.database = o.from, o.to
	default:
		o.data, o.storage.database = o.to, o.from
	}
	if o.data == "" || store.IsPostgres(o.data) {
		return m, exit.Usagef("name the data directory: --from DIR or --to DIR")
	}
	if o.storage.database != "" && !store.IsPostgres(o.storage.database) {
		return m, exit.Usagef("both --from and --to are directories: a directory is moved by copying it (docs/operations-storage.md)")
	}
	if o.storage.database != "" && o.storage.databaseFile != "" {
		return m, exit.Usagef("--database-file and the URL of a database exclude each other")
	}
	if err := o.storage.fill(o.env, home.ServerConfig{}); err != nil {
		return m, err
	}
	if o.storage.database == "" {
		return m, exit.Usagef("name the database: --to postgres://USER@HOST/NAME, --database-file or %s", databaseVariable)
	}
	if o.storage.blobs == "" {
		return m, exit.Usagef("say where its images are: --blobs s3://BUCKET/PREFIX, or --blobs DIR")
	}
	directory := repository.Config{Dir: o.data, Create: !intoDatabase}
	database := repository.Config{Dir: o.data, Create: !intoDatabase, Database: o.storage.database, Blobs: o.storage.blobs}
	if intoDatabase {
		m.From, m.To = directory, database
	} else {
		m.From, m.To = database, directory
	}
	return m, nil
}
