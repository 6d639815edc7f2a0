package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceHistoryCommand(e *env.Env) *cobra.Command {
	t, last := target{env: e}, 0
	cmd := &cobra.Command{
		Use:   "history TYPE ID",
		Short: "Tell a device's life by its audit records, and whose word each is",
		Long: `Tell a device's life by its audit records, the oldest first.

The evidence says whose word an event is: "report" is the device's own report, authenticated by its key
or token; "check" what it said of itself in an authenticated check; "claim" what somebody said who was not
authenticated; "server" and "operator" what those did. ota audit list has the records themselves.`,
		Example: `  ota device history sensor_v1 dev-0001
  ota device history sensor_v1 dev-0001 --last 20 --json`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if last < 0 {
				return exit.Usagef("--last %d: want a number of events", last)
			}
			ref := fleet.Ref{DeviceType: args[0], ID: args[1]}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				life, err := history(ctx, m, ref, last)
				if err != nil {
					return err
				}
				return e.PrintData(life, lifeTable(life))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().IntVar(&last, "last", 0, "only the last `N` events")
	return cmd
}

// history reads a device's last events, or all of them, the oldest first.
func history(ctx context.Context, m api.Management, ref fleet.Ref, last int) ([]api.LifeEvent, error) {
	newestFirst := []api.LifeEvent{}
	for q := (api.HistoryQuery{Limit: api.MaxPage}); ; {
		if last > 0 {
			q.Limit = min(api.MaxPage, last-len(newestFirst))
		}
		page, err := m.DeviceHistory(ctx, ref, q)
		if err != nil {
			return nil, err
		}
		newestFirst = append(newestFirst, page...)
		if len(page) < q.Limit || len(newestFirst) == last {
			break
		}
		q.Before = page[len(page)-1].Seq
	}
	life := make([]api.LifeEvent, 0, len(newestFirst))
	for i := range newestFirst {
		life = append(life, newestFirst[len(newestFirst)-1-i])
	}
	return life, nil
}

func lifeTable(life []api.LifeEvent) record.Table {
	t := record.Table{}
	for _, event := range life {
		t = append(t, record.Record{
			{Name: "record", Value: event.Seq},
			{Name: "time", Value: event.Time.Format(time.RFC3339)},
			{Name: "event", Value: event.Event},
			{Name: "evidence", Value: string(event.Evidence)},
			{Name: "by", Value: event.Actor},
			{Name: "what", Value: event.Words},
		})
	}
	return t
}
