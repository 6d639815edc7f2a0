package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/repository"
)

// errUnsound is the verdict of a check that found problems.
var errUnsound = errors.New("the repository is not sound")

// errNoImage refuses a file that is no image of this repository.
var errNoImage = errors.New("it is no image that is published here")

func fsckCommand(e *env.Env) *cobra.Command {
	t, repair := target{env: e}, false
	var images []string
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check that a data directory is sound: signatures, images, audit log",
		Long: `Read everything in a data directory and say whether it is sound: the database is whole, every
keyset and manifest verifies, every image hashes to what its manifest says, the audit log is
unbroken and tells of every release. It changes nothing and may run beside a server.

--repair removes leftovers of uploads and publications that broke off more than a day ago. --image
puts a file in the place of an image that is damaged or gone: the firmware that was published, which
is known by its hash. What else is found wants a person. Exit codes: 0 sound, 1 not sound.`,
		Example: `  ota fsck --data /var/lib/ota
  ota fsck --data /var/lib/ota --image firmware-2.1.0.bin
  ota fsck --data /var/lib/ota --database postgres://ota@db/ota --blobs 's3://firmware/prod?region=eu-central-1'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return fsck(cmd.Context(), &t, repair, images) },
	}
	t.storage.flags(cmd)
	cmd.Flags().StringVar(&t.data, "data", "", "data `DIR` (default: that of the home)")
	cmd.Flags().BoolVar(&repair, "repair", false, "remove leftovers older than a day")
	cmd.Flags().StringArrayVar(&images, "image", nil, "put `FILE` in the place of the image with its hash, if that is damaged or gone; may be repeated")
	return cmd
}

func fsck(ctx context.Context, t *target, repair bool, images []string) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	e := t.env
	if t.data == "" {
		h, err := e.HomeIfAny()
		if err != nil {
			return err
		}
		if h == nil {
			return exit.Usagef("there is no home: name the data directory with --data")
		}
		c, err := h.ServerConfig()
		if err != nil {
			return err
		}
		t.data = c.Data
	}
	local, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.Close(context.WithoutCancel(ctx))) }()
	if repair {
		removed, err := local.Repository.Repair(ctx, repository.Actor{Name: "local:" + userName()}, repository.RepairAge)
		if err != nil {
			return err
		}
		e.Say("removed %d leftovers", removed)
	}
	for _, name := range images {
		if err := replaceImage(ctx, e, local.Repository, name); err != nil {
			return err
		}
	}
	report, err := local.Repository.Fsck(ctx)
	if err != nil {
		return err
	}
	if err := e.PrintData(report, reportRecord(report)); err != nil {
		return err
	}
	if !report.Sound() {
		return errUnsound
	}
	return nil
}

func replaceImage(ctx context.Context, e *env.Env, r *repository.Repository, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return env.AboutFile(name, err)
	}
	defer f.Close()
	digest, replaced, err := r.ReplaceImage(ctx, repository.Actor{Name: "local:" + userName()}, f)
	switch {
	case errors.Is(err, repository.ErrNotFound):
		return fmt.Errorf("%s: %w: no release has the image %s", name, errNoImage, digest)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case replaced:
		e.Say("%s is in the place of image %s", name, digest)
	default:
		e.Say("image %s is sound: %s is not needed", digest, name)
	}
	return nil
}

func reportRecord(r repository.Report) record.Record {
	said := record.Record{
		{Name: "sound", Value: r.Sound()},
		{Name: "keysets", Value: r.Keysets},
		{Name: "releases", Value: r.Releases},
		{Name: "images", Value: r.Images},
		{Name: "image bytes", Value: r.ImageBytes},
		{Name: "audit records", Value: r.AuditRecords},
		{Name: "audit confirmed", Value: r.AuditConfirmed, Note: "the newest record that a checkpoint confirms"},
	}
	for name, found := range map[string][]repository.Finding{"problems": r.Problems, "leftovers": r.Leftovers, "foreign files": r.Foreign} {
		t := record.Table{}
		for _, f := range found {
			t = append(t, record.Record{{Name: "object", Value: f.Object}, {Name: "problem", Value: f.Problem}})
		}
		if len(t) > 0 {
			said.Add(name, t)
		}
	}
	return said
}
