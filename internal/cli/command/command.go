// Package command holds what the commands' wiring shares.
package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/exit"
)

// Group returns a command that only holds others.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(commands...)
	return group
}

// A Lazy command is made when it is asked for: making them all takes longer
// than to verify a small file.
type Lazy struct {
	Name string
	Make func() *cobra.Command
}

// Add adds to root the command that args begins with, or all of them if it
// begins with none, as for help and completion.
func Add(root *cobra.Command, args []string, commands []Lazy) {
	for _, c := range commands {
		if len(args) > 0 && c.Name == args[0] {
			root.AddCommand(c.Make())
			return
		}
	}
	for _, c := range commands {
		root.AddCommand(c.Make())
	}
}

// Execute runs a command line. An error from before a command's own work, such
// as an unknown flag or a missing argument, becomes an exit.UsageError.
func Execute(ctx context.Context, root *cobra.Command) error {
	started := false
	walk(root, func(cmd *cobra.Command) {
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				started = true
				return run(cmd, args)
			}
		}
	})
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !started {
		err = &exit.UsageError{Err: err}
	}
	return exit.WithCommand(err, cmd.CommandPath(), cmd.UseLine())
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}
