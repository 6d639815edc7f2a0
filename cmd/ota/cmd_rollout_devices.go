package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

func rolloutDevicesCommand(e *env.Env) *cobra.Command {
	t, q := target{env: e}, rollout.DeviceQuery{Limit: api.MaxPage}
	cmd := &cobra.Command{
		Use:   "devices NAME",
		Short: "List the devices that a rollout has touched, and the evidence of each",
		Long: `List the devices that a rollout has offered its release, in the order of their ids, and what is known of
each. The evidence of a confirmed one is its own report under its device key ("report"), its own update
check under that key ("check"), or the word of a device that has a bearer token only ("token device").`,
		Example: "  ota rollout devices spring --state reverted",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				list, err := allRolloutDevices(ctx, m, args[0], q)
				if err != nil {
					return err
				}
				return e.PrintData(list, rolloutDeviceTable(list))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar((*string)(&q.State), "state", "", "only those in this `STATE`, such as reverted or 'timed out'")
	return cmd
}

func allRolloutDevices(ctx context.Context, m api.Management, name string, q rollout.DeviceQuery) ([]rollout.Device, error) {
	all := []rollout.Device{}
	for {
		page, err := m.RolloutDevices(ctx, name, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < q.Limit {
			return all, nil
		}
		q.After = page[len(page)-1].ID
	}
}

func rolloutDeviceTable(list []rollout.Device) record.Table {
	t := record.Table{}
	for _, d := range list {
		t = append(t, record.Record{
			{Name: "device", Value: d.ID},
			{Name: "stage", Value: d.Stage},
			{Name: "state", Value: string(d.State)},
			{Name: "evidence", Value: string(d.Evidence)},
			{Name: "attempts", Value: d.Attempts},
			{Name: "offered", Value: moment(d.OfferedAt)},
			{Name: "changed", Value: moment(d.ChangedAt)},
			{Name: "reason", Value: d.Reason},
		})
	}
	return t
}
