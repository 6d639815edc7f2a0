package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

func rolloutPlanCommand(e *env.Env) *cobra.Command {
	t, f := target{env: e}, rolloutFlags{}
	cmd := &cobra.Command{
		Use:   "plan NAME TYPE VERSION",
		Short: "Say what a rollout would do, and do nothing",
		Long: `Say what a rollout would do, and do nothing: which devices of its target can take the release, which
need something first, which cannot and why, by version, keyset, hardware revision and level. It exits 1
if the rollout could not be created.

` + rolloutSpecLong,
		Example: "  ota rollout plan spring sensor_v1 2.1.0 --filter 'label.site=berlin'",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				spec, err := f.read(ctx, m, args)
				if err != nil {
					return err
				}
				plan, err := m.PlanRollout(ctx, spec)
				if err != nil {
					return err
				}
				if err := e.PrintData(plan, cohortTable(plan)); err != nil {
					return err
				}
				e.Say("%s, of which at most %d at a time may be without evidence of success", devices(plan.Target), plan.Budget)
				for i, n := range plan.Stages {
					e.Say("stage %d: %s: %s", i+1, spec.Stages[i], devices(n))
				}
				if plan.Refused != "" {
					return errPlanRefused(plan.Refused)
				}
				return nil
			})
		},
	}
	t.flags(cmd)
	f.flags(cmd)
	return cmd
}

// errPlanRefused is why a planned rollout could not be created.
type errPlanRefused string

// Error implements error.
func (e errPlanRefused) Error() string { return string(e) }

// Unwrap returns what the server would refuse it with.
func (e errPlanRefused) Unwrap() error { return rollout.ErrCohort }

func cohortTable(p rollout.Plan) record.Table {
	t := record.Table{}
	for _, c := range p.Cohorts {
		t = append(t, record.Record{
			{Name: "devices", Value: c.Devices},
			{Name: "verdict", Value: string(c.Verdict)},
			{Name: "version", Value: c.Version},
			{Name: "keyset", Value: c.KeysetVersion},
			{Name: "hardware", Value: c.HardwareRevision},
			{Name: "level", Value: c.Level},
			{Name: "needs first", Value: c.Needs},
			{Name: "why", Value: c.Why},
			{Name: "for instance", Value: strings.Join(c.Examples[:min(len(c.Examples), 2)], " ")},
		})
	}
	return t
}
