package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

func typeSetCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	var offer, end string
	var critical bool
	cmd := &cobra.Command{
		Use:   "set TYPE",
		Short: "Change the settings of a device type",
		Long: `Change the settings of a device type; what no flag names stays.

With --offer newest every published release is offered to all devices of the type at once. With --offer
rollouts a device is offered what a rollout says, and nothing else. A rollout of a --critical type needs
the approval of a second person.`,
		Example: `  ota type set sensor_v1 --offer rollouts --critical --support-end 2030-12-31
  ota type set sensor_v1 --critical=false --support-end none`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := cmd.Flags().Changed
			if !set("offer") && !set("critical") && !set("support-end") {
				return exit.Usagef("say what to change: --offer, --critical or --support-end")
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				s, err := m.DeviceType(ctx, args[0])
				if err != nil {
					return err
				}
				if set("offer") {
					s.Offer = rollout.Offer(offer)
				}
				if set("critical") {
					s.Critical = critical
				}
				if set("support-end") {
					if s.SupportEnd, err = supportEnd(end); err != nil {
						return err
					}
				}
				if s, err = m.SetDeviceType(ctx, s); err != nil {
					return err
				}
				return e.PrintData(s, typeRecord(s))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&offer, "offer", "", "`WHICH` releases: newest or rollouts")
	cmd.Flags().BoolVar(&critical, "critical", false, "a rollout needs the approval of a second person")
	cmd.Flags().StringVar(&end, "support-end", "", "the last `DAY` of support, such as 2030-12-31, or none")
	return cmd
}

func supportEnd(text string) (time.Time, error) {
	if text == "none" {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return day, exit.Usagef("--support-end %s: want a day such as 2030-12-31, or none", text)
	}
	return day, nil
}
