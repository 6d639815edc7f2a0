package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/progress"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

type publishOptions struct {
	env      *env.Env
	target   target
	spec     *offline.ReleaseSpec
	to       string
	manifest string
}

func publishCommand(e *env.Env) *cobra.Command {
	o := publishOptions{env: e, target: target{env: e, create: true}, spec: offline.NewReleaseSpec(e)}
	cmd := &cobra.Command{
		Use:   "publish FILE",
		Short: "Sign a firmware file as a release and publish it",
		Long: `Make the manifest of a firmware file, sign it, and publish both with the keysets of the home. The
release number is the last one that the home or the server knows, plus 1; what did not come to be
published, such as an upload that broke off, keeps its number when it is tried again.

The private key is used on this machine and goes nowhere. An upload that breaks off is resumed.
What the server would refuse is refused before the file travels: unsigned, signed by another type's
key or a revoked one, a version or sequence that does not rise.

SBOM files go along, before the release that names them: ota release sbom shows them again.

With --manifest the manifest was made and signed elsewhere (ota manifest); its release document is
taken from FILE.release. SBOM files that it names are given again with --sbom.`,
		Example: `  ota publish firmware.bin --device-type sensor_v1 --version 2.1.0 --key release-sensor_v1-1 \
    --fixes CVE-2024-12345 --notes-file notes.txt --sbom bom.cdx.json
  ota publish firmware.bin --device-type sensor_v1 --version 2.1.0 --key release-sensor_v1-1 --to /var/lib/ota
  ota publish firmware.bin --manifest firmware.bin.manifest --to https://ota.example.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	o.spec.Flags(cmd)
	o.target.flags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.to, "to", "", "publish to a data `DIR or URL`, as --data and --server")
	flags.StringVar(&o.manifest, "manifest", "", "publish with this signed manifest `FILE`")
	cmd.MarkFlagsOneRequired("manifest", "device-type")
	cmd.MarkFlagsMutuallyExclusive("manifest", "device-type")
	cmd.MarkFlagsMutuallyExclusive("manifest", "version")
	cmd.MarkFlagsRequiredTogether("device-type", "version")
	cmd.MarkFlagsMutuallyExclusive("to", "data", "server")
	return cmd
}

func (o *publishOptions) run(ctx context.Context, file string) error {
	switch {
	case strings.Contains(o.to, "://"):
		o.target.server = o.to
	case o.to != "":
		o.target.data = o.to
	}
	if file == "-" {
		return exit.Usagef("what is published is read twice: FILE cannot be standard input")
	}
	h, err := o.env.Home()
	if err != nil {
		return err
	}
	return publishAlone(o.env, h, func() error {
		return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
			r, err := o.release(ctx, m, h, file)
			if err != nil {
				return err
			}
			if err := publishSBOMs(ctx, m, r.Document, o.spec); err != nil {
				return err
			}
			return publish(ctx, o.env, m, h, r, file)
		})
	})
}

// release makes the release, or takes the one that was made elsewhere.
func (o *publishOptions) release(ctx context.Context, m api.Management, h *home.Home, file string) (*offline.Release, error) {
	if o.manifest == "" {
		above, err := published(ctx, m, h, o.spec.DeviceType, o.spec.Component, o.spec.Sequence != 0)
		if err != nil {
			return nil, err
		}
		return o.spec.Build(h, file, above)
	}
	raw, err := o.env.ReadFile(o.manifest, trust.MaxManifest)
	if err != nil {
		return nil, err
	}
	document, err := o.env.ReadFile(file+".release", trust.MaxReleaseDocument)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return offline.OpenRelease(h, raw, document)
}

// publishSBOMs brings the SBOM files that a release document names.
func publishSBOMs(ctx context.Context, m api.Management, document []byte, spec *offline.ReleaseSpec) error {
	files, err := spec.ReadSBOMs()
	if err != nil || len(files) == 0 {
		return err
	}
	var named manifest.Document
	if document != nil {
		if named, err = manifest.DecodeDocument(document); err != nil {
			return err
		}
	}
	for _, f := range files {
		digest := manifest.Digest(sha256.Sum256(f.Content))
		if !slices.ContainsFunc(named.SBOMs, func(s manifest.SBOM) bool { return s.SHA256 == digest }) {
			return fmt.Errorf("SBOM %s: %w: the signed release does not name it", f.Name, repository.ErrDocument)
		}
		if _, err := m.AddSBOM(ctx, f.Content); err != nil {
			return fmt.Errorf("SBOM %s: %w", f.Name, err)
		}
	}
	return nil
}

// publish brings keysets, image and release to the server, in this order.
func publish(ctx context.Context, e *env.Env, m api.Management, h *home.Home, r *offline.Release, file string) error {
	if r.Missing != nil {
		return r.Missing
	}
	bundle, err := r.Bundle(h)
	if err != nil {
		return err
	}
	if err := publishKeysets(ctx, m, h, r.Manifest.DeviceType); err != nil {
		return err
	}
	if err := m.CheckRelease(ctx, bundle); err != nil {
		return err
	}
	if file != "" {
		if err := upload(ctx, e, m, r.Manifest, file); err != nil {
			return err
		}
	}
	published, err := m.AddRelease(ctx, bundle)
	if err != nil {
		return err
	}
	if err := h.RecordRelease(r.Manifest, r.Verified.Hash()); err != nil {
		return fmt.Errorf("it is published, but not recorded in the home: %w", err)
	}
	return e.PrintData(published, releaseRecord(published))
}

func upload(ctx context.Context, e *env.Env, m api.Management, described *manifest.Manifest, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	bar := progress.New(e.Stderr, "upload", e.Now, e.Getenv)
	defer bar.End()
	return m.Upload(ctx, described.ImageDigest, int64(described.ImageSize), f, bar.Show)
}

// publishKeysets brings the server the keysets of the home that it lacks.
func publishKeysets(ctx context.Context, m api.Management, h *home.Home, deviceType string) error {
	newest, err := h.Newest(deviceType)
	if err != nil {
		return err
	}
	held, err := m.Keysets(ctx, deviceType)
	if err != nil {
		return err
	}
	if len(held) > 0 && held[0].Version >= newest.Keyset().Version {
		return nil
	}
	bundle, err := offline.KeysetBundle(h, deviceType)
	if err != nil {
		return err
	}
	_, err = m.AddKeyset(ctx, bundle)
	return err
}
