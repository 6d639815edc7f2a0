package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/progress"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// errStopped says that a watched rollout came to a bad end.
var errStopped = errors.New("the rollout stopped")

// watchBar is how wide the bar of a stage is, in characters.
const watchBar = 40

func rolloutWatchCommand(e *env.Env) *cobra.Command {
	t, every := target{env: e}, rollout.Duration(time.Second)
	cmd := &cobra.Command{
		Use:   "watch NAME",
		Short: "Watch the stages of a rollout move",
		Long: `Watch the stages of a rollout move, until it is completed, halted or aborted; of the last two it exits 1.
On a terminal the picture is drawn again in place, elsewhere whenever something has changed. With --json
each change is one line.`,
		Example: "  ota rollout watch spring",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				return watchRollout(ctx, e, m, args[0], max(time.Duration(every), 100*time.Millisecond))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().Var(&every, "every", "how often to look")
	return cmd
}

func watchRollout(ctx context.Context, e *env.Env, m api.Management, name string, every time.Duration) error {
	block := progress.NewBlock(e.Stdout, e.Getenv)
	for last := ""; ; {
		r, err := m.Rollout(ctx, name)
		if err != nil {
			return err
		}
		lines := watchLines(block, r)
		if text := fmt.Sprint(lines); e.JSON && text != last {
			last = text
			raw, err := json.Marshal(r, json.Deterministic(true))
			if err != nil {
				return fmt.Errorf("watch rollout %s: %w", name, err)
			}
			fmt.Fprintf(e.Stdout, "%s\n", raw)
		} else if !e.JSON {
			block.Draw(lines)
		}
		switch r.State {
		case rollout.Completed:
			return nil
		case rollout.Halted, rollout.Aborted:
			return fmt.Errorf("%w: %s: %s", errStopped, r.State, r.Why)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

func watchLines(block *progress.Block, r rollout.Rollout) []string {
	p := r.Progress
	lines := []string{fmt.Sprintf("%s  %s %s  %s", r.Name, r.DeviceType, r.Version, r.State)}
	for i, s := range p.Stages {
		good, bad := 0, 0
		for _, before := range p.Stages[:i+1] {
			good, bad = good+before.Confirmed, bad+failedOf(before.Counts)
		}
		lines = append(lines, fmt.Sprintf("  stage %d  %-14.14s %s %d of %d, %d failed  %s",
			i+1, s.Stage.String(), block.Bar(good, bad, s.Target, watchBar), good, s.Target, bad, s.Waits))
	}
	lines = append(lines, fmt.Sprintf("  on the way %d (trial %d), retrying %d, unproven %d of at most %d",
		p.Offered+p.Downloading+p.Installed+p.Trial, p.Trial, p.Retrying, p.Unproven, p.Budget))
	if p.Waits != "" {
		lines = append(lines, "  nobody else is offered it: "+p.Waits)
	}
	return lines
}
