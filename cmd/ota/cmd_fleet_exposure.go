package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/manifest"
)

func fleetExposureCommand(e *env.Env) *cobra.Command {
	t, q := target{env: e}, api.ExposureQuery{}
	cmd := &cobra.Command{
		Use:   "exposure CVE",
		Short: "Show which devices still run what lacks the fix of a vulnerability",
		Long: `Show which devices still run what lacks the fix of a vulnerability. The fix is in the first release that
names it (ota publish --fixes) and in every later version. What a device runs is its own word in an
authenticated message; "proven" counts those that reported that the image proved itself, "silent" those that
have not been heard of for long. An image that is not published is unknown, not fixed.

Device types of which no release names the vulnerability are listed apart: that says nothing about
whether they have it.`,
		Example: `  ota fleet exposure CVE-2024-12345
  ota fleet exposure CVE-2024-12345 --device-type sensor_v1 --filter label.site=berlin --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.CVE = args[0]
			if err := manifest.CheckCVE(q.CVE); err != nil {
				return exit.Usagef("%w", err)
			}
			if err := checkFilter(e, q.Filter); err != nil {
				return err
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				found, err := m.Exposure(ctx, q)
				if err != nil {
					return err
				}
				return e.PrintData(found, exposureRecord(found, e.Now()))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&q.DeviceType, "device-type", "", "only devices of this `TYPE`")
	cmd.Flags().StringVar(&q.Filter, "filter", "", "only devices that a `FILTER` selects (docs/filters.md)")
	cmd.RegisterFlagCompletionFunc("device-type", offline.CompleteTypes(e))
	return cmd
}

func exposureRecord(x api.Exposure, now time.Time) record.Record {
	r := record.Record{{Name: "vulnerability", Value: x.CVE}, {Name: "at", Value: x.At.Format(time.RFC3339)}}
	for _, t := range x.Types {
		part := record.Record{
			{Name: "fixed in", Value: t.FixedIn, Note: offeredNote(t)},
			{Name: "devices", Value: t.Devices},
			{Name: "exposed", Value: t.Exposed},
			{Name: "unknown image", Value: t.Unknown},
			{Name: "never seen", Value: t.NeverSeen},
			{Name: "fixed", Value: t.Fixed},
			supportField(t.SupportEnd, now),
		}
		versions := record.Table{}
		for _, v := range t.Versions {
			versions = append(versions, record.Record{
				{Name: "version", Value: v.Version}, {Name: "status", Value: v.Status}, {Name: "devices", Value: v.Devices},
				{Name: "proven", Value: v.Proven}, {Name: "silent", Value: v.Silent}, {Name: "for instance", Value: strings.Join(v.Examples, " ")},
			})
		}
		part.Add("versions", versions)
		if t.Exposed > 0 {
			part.Add("list them", "ota device list --filter '"+t.Filter+"'")
		}
		r.Add(t.DeviceType, part)
	}
	r.Add("no release names it for", x.Unmentioned)
	return r
}

func offeredNote(t api.TypeExposure) string {
	if t.Offered {
		return ""
	}
	return "every release with the fix was withdrawn"
}

// supportField shows until when a device type is supported.
func supportField(end, now time.Time) record.Field {
	f := record.Field{Name: "supported until", Value: nil, Note: ""}
	if end.IsZero() {
		return f
	}
	f.Value = end.Format(time.DateOnly)
	if now.After(end.AddDate(0, 0, 1)) {
		f.Note = "it has ended"
	}
	return f
}
