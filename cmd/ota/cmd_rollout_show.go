package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

func rolloutShowCommand(e *env.Env) *cobra.Command {
	t := target{env: e}
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a rollout, how far it has come and what it waits for",
		Example: "  ota rollout show spring",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				r, err := m.Rollout(ctx, args[0])
				if err != nil {
					return err
				}
				return e.PrintData(r, rolloutRecord(r))
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func rolloutRecord(r rollout.Rollout) record.Record {
	p := r.Progress
	said := record.Record{
		{Name: "rollout", Value: r.Name},
		{Name: "state", Value: string(r.State), Note: r.Why},
		{Name: "device type", Value: r.DeviceType},
		{Name: "version", Value: r.Version},
		{Name: "release", Value: r.Release},
		{Name: "filter", Value: r.Filter},
		{Name: "stage", Value: stageOf(r)},
		{Name: "waits", Value: p.Waits},
		{Name: "target", Value: p.Target, Note: blockedNote(p)},
		{Name: "waiting", Value: p.Waiting},
		{Name: "on the way", Value: p.Offered + p.Downloading + p.Installed + p.Trial,
			Note: fmt.Sprintf("offered %d, downloading %d, installed %d, trial %d", p.Offered, p.Downloading, p.Installed, p.Trial)},
		{Name: "confirmed", Value: p.Confirmed,
			Note: fmt.Sprintf("by report %d, by check %d, word of token devices %d", p.ByReport, p.ByCheck, p.ByToken)},
		{Name: "retrying", Value: p.Retrying},
		{Name: "failed", Value: failedOf(p.Counts),
			Note: fmt.Sprintf("failed %d, reverted %d, refused %d, timed out %d", p.Failed, p.Reverted, p.Refused, p.TimedOut)},
		{Name: "left", Value: p.Left},
		{Name: "unproven", Value: p.Unproven, Note: fmt.Sprintf("of at most %d", p.Budget)},
	}
	for i, s := range p.Stages {
		said.Addn(fmt.Sprintf("stage %d", i+1), s.Stage.String(), stageNote(r, i))
	}
	if r.SendBackVersion != "" {
		said.Addn("sends back to", r.SendBackVersion, devices(p.SentBack)+" so far")
	}
	said.Add("eta", moment(p.ETA))
	said.Addn("created", moment(r.CreatedAt), "by "+r.CreatedBy)
	if r.ApprovedBy != "" {
		said.Addn("approved", moment(r.ApprovedAt), "by "+r.ApprovedBy)
	}
	if r.StartedBy != "" {
		said.Addn("started", moment(r.StartedAt), "by "+r.StartedBy)
	}
	said.Addn("changed", moment(r.ChangedAt), "by "+r.ChangedBy)
	said.Add("note", r.Note)
	return said
}

func stageOf(r rollout.Rollout) string { return fmt.Sprintf("%d of %d", r.Stage, len(r.Stages)) }

func failedOf(c rollout.Counts) int { return c.Failed + c.Reverted + c.Refused + c.TimedOut }

func blockedNote(p rollout.Progress) string {
	if p.Blocked == 0 {
		return ""
	}
	return fmt.Sprintf("and %d that are held, pinned or cannot take it", p.Blocked)
}

// stageNote says what a stage waits for, and how far it has come.
func stageNote(r rollout.Rollout, i int) string {
	s := r.Progress.Stages[i]
	words := []string{devices(s.Target)}
	if s.Soak > 0 {
		words = append(words, "soak "+s.Soak.String())
	}
	if s.Gate {
		words = append(words, "gate")
	}
	switch {
	case i+1 > r.Stage:
		words = append(words, "not open")
	case s.Waits != "":
		words = append(words, "open: "+s.Waits)
	case i+1 == r.Stage && r.State != rollout.Completed:
		words = append(words, "open")
	default:
		words = append(words, "done")
	}
	return strings.Join(words, ", ")
}
