package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

func typeListCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List device types and their settings",
		Example: "  ota type list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				list, err := m.DeviceTypes(ctx)
				if err != nil {
					return err
				}
				rows := record.Table{}
				for _, s := range list {
					rows = append(rows, typeRecord(s))
				}
				return e.PrintData(list, rows)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func typeRecord(s rollout.TypeSettings) record.Record {
	var end any
	if !s.SupportEnd.IsZero() {
		end = s.SupportEnd.Format(time.DateOnly)
	}
	return record.Record{
		{Name: "device type", Value: s.DeviceType},
		{Name: "offer", Value: string(s.Offer)},
		{Name: "critical", Value: s.Critical},
		{Name: "support end", Value: end},
	}
}
