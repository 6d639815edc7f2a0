package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// rolloutActions are the commands that are one action on a rollout each.
var rolloutActions = []struct {
	action      rollout.Action
	short, long string
}{
	{rollout.Start, "Start a rollout",
		"Start a rollout: its first stage opens when its time comes, without --start-at at once. One of a critical\ndevice type waits for the approval of a second person."},
	{rollout.Approve, "Approve a rollout as the second person",
		"Approve a rollout of a critical device type. Its author cannot."},
	{rollout.Pause, "Let a rollout offer nothing for now",
		"Let a rollout offer nothing until it is resumed: the next check of every device is told so, also of one\nthat was offered the release before. Devices that have it installed already go on with their trial."},
	{rollout.Resume, "Let a paused or halted rollout go on",
		"Let a paused or halted rollout go on. Devices that failed before a halt are excused: they count neither\nagainst the budget nor towards the next halt."},
	{rollout.Advance, "Open the next stage now",
		"Open the next stage now, whatever gate, soak and success say."},
	{rollout.Halt, "Halt a rollout: something is wrong",
		"Halt a rollout. It offers its release to nobody; with --send-back, devices that took it are offered the\napproved downgrade. Older rollouts do not decide for its target until it is aborted."},
	{rollout.Abort, "End a rollout for good",
		"End a rollout for good. Devices that have its release keep it; for the others, older rollouts decide again."},
	{rollout.Delete, "Delete a draft", "Delete a rollout that was not started."},
}

func rolloutActionCommands(e *env.Env) (list []*cobra.Command) {
	for _, a := range rolloutActions {
		list = append(list, rolloutActionCommand(e, a.action, a.short, a.long))
	}
	return list
}

func rolloutActionCommand(e *env.Env, action rollout.Action, short, long string) *cobra.Command {
	t, reason := target{env: e}, ""
	example := "  ota rollout " + string(action) + " spring"
	always := action == rollout.Halt || action == rollout.Abort
	if always || action == rollout.Resume {
		example += ` --reason "battery drain at site Berlin"`
	}
	cmd := &cobra.Command{
		Use:     string(action) + " NAME",
		Short:   short,
		Long:    long,
		Example: example,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				r, err := m.ActOnRollout(ctx, args[0], action, reason)
				if err != nil {
					return err
				}
				return e.PrintData(r, rolloutRecord(r))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log: a `TEXT`")
	if always {
		cmd.MarkFlagRequired("reason")
	}
	return cmd
}
