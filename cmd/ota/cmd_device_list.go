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

func deviceListCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:               "list [TYPE]",
		Short:             "List devices: what they run, and when they were last here",
		Example:           "  ota device list sensor_v1 --json",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			var q api.DeviceQuery
			if len(args) == 1 {
				q.DeviceType = args[0]
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				list, err := allDevices(ctx, m, q)
				if err != nil {
					return err
				}
				return e.PrintData(list, deviceTable(list))
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// allDevices reads page after page.
func allDevices(ctx context.Context, m api.Management, q api.DeviceQuery) ([]api.Device, error) {
	all := []api.Device{}
	for {
		page, err := m.Devices(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < api.MaxPage {
			return all, nil
		}
		q = q.Next(page)
	}
}

func deviceTable(list []api.Device) record.Table {
	t := record.Table{}
	for _, d := range list {
		t = append(t, record.Record{
			{Name: "device type", Value: d.DeviceType},
			{Name: "device", Value: d.ID},
			{Name: "state", Value: d.State},
			{Name: "version", Value: d.Version},
			{Name: "sequence", Value: reported(d, d.Installed.Sequence)},
			{Name: "keyset", Value: reported(d, d.KeysetVersion)},
			{Name: "last seen", Value: moment(d.LastSeen)},
		})
	}
	return t
}

// moment shows a time, and none as none.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Format(time.RFC3339)
}
