package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceShowCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:               "show TYPE ID",
		Short:             "Show a device, and why it is not offered a newer release",
		Example:           "  ota device show sensor_v1 dev-0001",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				d, err := m.Device(ctx, fleet.Ref{DeviceType: args[0], ID: args[1]})
				if err != nil {
					return err
				}
				return e.PrintData(d, deviceRecord(d))
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func deviceRecord(d api.Device) record.Record {
	said := record.Record{
		{Name: "device", Value: d.Ref.String()},
		{Name: "state", Value: d.State},
		{Name: "revoked", Value: d.Revoked},
		{Name: "level", Value: d.Level},
		{Name: "key generation", Value: d.Generation},
		{Name: "hardware revision", Value: d.HardwareRevision},
		{Name: "version", Value: d.Version},
		{Name: "sequence", Value: reported(d, d.Installed.Sequence)},
		{Name: "image sha256", Value: reported(d, d.Installed.Digest)},
		{Name: "keyset version", Value: reported(d, d.KeysetVersion)},
		{Name: "boot", Value: reported(d, d.Boot)},
		{Name: "last event", Value: d.LastEvent, Note: d.LastDetail},
		{Name: "last error", Value: d.LastErrorText},
		{Name: "last seen", Value: moment(d.LastSeen)},
		{Name: "added", Value: moment(d.AddedAt)},
	}
	if d.Offer != nil {
		said.Addn("offered", d.Offer.Version, fmt.Sprint(moment(d.Offer.At)))
	}
	if d.Why != "" {
		said.Add("not offered because", d.Why)
	}
	said.Add("held", d.Hold)
	said.Add("pinned to", d.Pin)
	said.Add("updates now", d.UpdateNow)
	said.Add("note", d.Note)
	for _, name := range slices.Sorted(maps.Keys(d.Labels)) {
		said.Add("label "+name, d.Labels[name])
	}
	return said
}

// reported shows what a device said of itself, nothing if it was never here.
func reported(d api.Device, value any) any {
	if d.LastSeen.IsZero() {
		return nil
	}
	return value
}
