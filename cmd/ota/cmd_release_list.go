package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
)

func releaseListCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:               "list [TYPE]",
		Short:             "List what is published, the newest first",
		Example:           "  ota release list sensor_v1 --server https://ota.example.com",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			deviceType := ""
			if len(args) == 1 {
				deviceType = args[0]
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				list, err := m.Releases(ctx, deviceType)
				if err != nil {
					return err
				}
				return e.PrintData(list, releaseTable(list))
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func releaseTable(list []api.Release) record.Table {
	t := record.Table{}
	for _, r := range list {
		t = append(t, record.Record{
			{Name: "device type", Value: r.DeviceType},
			{Name: "version", Value: r.Version},
			{Name: "sequence", Value: r.Sequence},
			{Name: "state", Value: releaseState(r)},
			{Name: "bytes", Value: r.ImageSize},
			{Name: "published", Value: r.PublishedAt.Format(time.RFC3339)},
			{Name: "identity", Value: r.Identity.String()[:16]},
		})
	}
	return t
}

func releaseState(r api.Release) string {
	switch {
	case r.Withdrawal != nil:
		return "withdrawn"
	case r.Downgrade:
		return "downgrade"
	case r.Security:
		return "security"
	}
	return "published"
}

// releaseRecord shows one release.
func releaseRecord(r api.Release) record.Record {
	said := record.Record{
		{Name: "identity", Value: r.Identity},
		{Name: "vendor", Value: r.Vendor},
		{Name: "device type", Value: r.DeviceType},
		{Name: "version", Value: r.Version},
		{Name: "sequence", Value: r.Sequence},
		{Name: "state", Value: releaseState(r)},
		{Name: "security counter", Value: r.SecurityCounter},
		{Name: "keyset version", Value: r.KeysetVersion},
		{Name: "image size", Value: r.ImageSize, Note: "bytes"},
		{Name: "image sha256", Value: r.ImageDigest},
		{Name: "manifest sha256", Value: r.ManifestHash},
		{Name: "published", Value: r.PublishedAt.Format(time.RFC3339), Note: "by " + r.PublishedBy},
	}
	if r.Document != nil {
		said.Add("notes", r.Document.Notes)
		said.Add("fixes", r.Document.CVEs)
		for _, s := range r.Document.SBOMs {
			said.Addn("sbom", s.Name, s.SHA256.String())
		}
	}
	if r.Withdrawal != nil {
		said.Addn("withdrawn", r.Withdrawal.Reason, "by "+r.Withdrawal.By)
	}
	return said
}
