package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// defaultStages are those of a rollout that says nothing of its stages.
var defaultStages = []string{"1%,soak=24h", "10%,soak=24h", "100%"}

// rolloutFlags are what creating and planning a rollout have in common.
type rolloutFlags struct {
	spec     rollout.Spec
	stages   []string
	start    string
	window   string
	sendBack string
}

func (f *rolloutFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.spec.Filter, "filter", "", "the target: a `FILTER` such as 'label.site=berlin' (default: the whole device type)")
	flags.StringArrayVar(&f.stages, "stage", defaultStages, "a `STAGE`, once for each: a part, and what must be seen of it")
	flags.IntVar(&f.spec.Pace, "pace", 0, "offer it to at most `N` more devices a minute (default: no limit)")
	flags.StringVar(&f.start, "start-at", "", "not before this `TIME`, such as 2030-01-07T22:00:00Z")
	flags.StringVar(&f.window, "window", "", "offer it only in this `WINDOW` of UTC, such as 22:00-05:00 or 'mon,tue 22:00-05:00'")
	flags.Var(&f.spec.Timeout, "timeout", "a device without evidence after so long is stuck (default 1d)")
	flags.Lookup("timeout").DefValue = "" // the default is the server's
	flags.IntVar(&f.spec.Retries, "retries", rollout.DefaultRetries, "offer it `N` times again after a failure that may pass")
	flags.IntVar(&f.spec.MaxUnproven, "max-unproven", 0, "at most `N` devices without evidence of success (default 1 % of the target, at least 10)")
	flags.StringVar(&f.sendBack, "send-back", "", "after a halt, offer this approved downgrade: the `IDENTITY` of a release")
	flags.StringVar(&f.spec.Note, "note", "", "a `TEXT` for people")
}

// read puts a spec together from arguments NAME TYPE VERSION and the flags.
func (f *rolloutFlags) read(ctx context.Context, m api.Management, args []string) (spec rollout.Spec, err error) {
	spec = f.spec
	spec.Name, spec.DeviceType = args[0], args[1]
	if spec.Retries == 0 {
		spec.Retries = rollout.NoRetries
	}
	for _, text := range f.stages {
		stage, err := rollout.ParseStage(text)
		if err != nil {
			return spec, exit.Usagef("--stage: %v", err)
		}
		spec.Stages = append(spec.Stages, stage)
	}
	if f.start != "" {
		if spec.StartAt, err = time.Parse(time.RFC3339, f.start); err != nil {
			return spec, exit.Usagef("--start-at %s: want a time such as 2030-01-07T22:00:00Z", f.start)
		}
	}
	if f.window != "" {
		if spec.Window, err = rollout.ParseWindow(f.window); err != nil {
			return spec, exit.Usagef("--window: %v", err)
		}
	}
	release, err := findRelease(ctx, m, args[1:])
	if err != nil {
		return spec, err
	}
	spec.Release = release.Identity
	if f.sendBack != "" {
		back, err := findRelease(ctx, m, []string{f.sendBack})
		if err != nil {
			return spec, fmt.Errorf("--send-back: %w", err)
		}
		spec.SendBack = back.Identity
	}
	return spec, nil
}

const rolloutSpecLong = `A stage is a part of the target: a share (10%), a number of devices (50), or a filter
(label.ring=canary). Stages are cumulative, and each may say what must be seen of it before the next
one opens, separated by commas:

  soak=24h     it lasts at least so long
  success=95   so many percent of its devices that were here run the release, confirmed
  failure=5    more percent of the touched devices that fail halt the rollout
  gate         an operator opens the next stage (ota rollout advance)`
