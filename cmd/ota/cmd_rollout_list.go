package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

func rolloutListCommand(e *env.Env) *cobra.Command {
	t, q := target{env: e}, rollout.Query{Limit: api.MaxPage}
	cmd := &cobra.Command{
		Use:               "list [TYPE]",
		Short:             "List rollouts by name",
		Example:           "  ota rollout list sensor_v1 --state running",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.DeviceType = args[0]
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				list, err := allRollouts(ctx, m, q)
				if err != nil {
					return err
				}
				return e.PrintData(list, rolloutTable(list))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar((*string)(&q.State), "state", "", "only those in this `STATE`")
	return cmd
}

func allRollouts(ctx context.Context, m api.Management, q rollout.Query) ([]rollout.Rollout, error) {
	all := []rollout.Rollout{}
	for {
		page, err := m.Rollouts(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < q.Limit {
			return all, nil
		}
		q.After = page[len(page)-1].Name
	}
}

func rolloutTable(list []rollout.Rollout) record.Table {
	t := record.Table{}
	for _, r := range list {
		t = append(t, record.Record{
			{Name: "name", Value: r.Name},
			{Name: "device type", Value: r.DeviceType},
			{Name: "version", Value: r.Version},
			{Name: "state", Value: string(r.State)},
			{Name: "stage", Value: stageOf(r)},
			{Name: "confirmed", Value: r.Progress.Confirmed},
			{Name: "failed", Value: failedOf(r.Progress.Counts)},
			{Name: "target", Value: r.Progress.Target},
			{Name: "changed", Value: moment(r.ChangedAt)},
		})
	}
	return t
}
