package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// errUnconfirmed means that nothing was done because nobody said yes.
var errUnconfirmed = errors.New("nothing was changed")

// A deviceEdit is what the commands share that edit one device, which its type
// and id name, or all that a filter selects.
type deviceEdit struct {
	env    *env.Env
	target target
	filter string
	of     string // device type, with filter
	dryRun bool
	yes    bool
	limit  int
	why    string
}

// atLeastOne is a number of arguments.
const atLeastOne = -1

// command returns such a command. Unless --filter is given, TYPE and ID stand
// before the arguments that edit takes.
func (o *deviceEdit) command(use, short, example string, args int, edit func(args []string) (fleet.Edit, error)) *cobra.Command {
	o.target.env = o.env
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		Long: short + `: of one device, or with --filter of all that it selects.

Of many, --dry-run says how many there are, and nothing is changed without --yes or above --limit.
A token of some device types only has to name one of them with --type.`,
		Args: func(_ *cobra.Command, given []string) error {
			if o.filter == "" && len(given) < 2 {
				return errors.New("name the device by TYPE and ID, or say which with --filter")
			}
			if o.filter == "" {
				given = given[2:]
			}
			if len(given) != args && (args != atLeastOne || len(given) == 0) {
				return fmt.Errorf("%d arguments beside those that name the device: see the usage", len(given))
			}
			return nil
		},
		ValidArgsFunction: offline.CompleteTypeArg(o.env),
		RunE: func(cmd *cobra.Command, given []string) error {
			if o.filter != "" {
				return o.many(cmd.Context(), given, edit)
			}
			return o.one(cmd.Context(), fleet.Ref{DeviceType: given[0], ID: given[1]}, given[2:], edit)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.filter, "filter", "", "all devices that a `FILTER` selects (docs/filters.md), instead of one")
	flags.StringVar(&o.of, "type", "", "with --filter: only devices of this `TYPE`")
	flags.BoolVar(&o.dryRun, "dry-run", false, "with --filter: only say what would be changed")
	flags.BoolVar(&o.yes, "yes", false, "with --filter: change all of them")
	flags.IntVar(&o.limit, "limit", api.DefaultEditLimit, "with --filter: change nothing if there are more than `N` devices")
	flags.StringVar(&o.why, "reason", "", "why, for the audit log: a `TEXT`")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "yes")
	o.target.flags(cmd)
	return cmd
}

func (o *deviceEdit) one(ctx context.Context, ref fleet.Ref, args []string, edit func([]string) (fleet.Edit, error)) error {
	if o.dryRun || o.yes || o.of != "" {
		return exit.Usagef("--dry-run, --type and --yes go with --filter")
	}
	change, err := edit(args)
	if err != nil {
		return err
	}
	return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		d, err := m.EditDevice(ctx, ref, change, o.why)
		if err != nil {
			return err
		}
		if change.Pin != nil && *change.Pin != "" && d.Why != "" {
			o.env.Warn("%s", d.Why)
		}
		return o.env.PrintData(d, deviceRecord(d))
	})
}

func (o *deviceEdit) many(ctx context.Context, args []string, edit func([]string) (fleet.Edit, error)) error {
	if err := checkFilter(o.env, o.filter); err != nil {
		return err
	}
	if o.limit < 1 {
		return exit.Usagef("--limit %d: want at least 1", o.limit)
	}
	change, err := edit(args)
	if err != nil {
		return err
	}
	return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		request := api.EditDevices{DeviceType: o.of, Filter: o.filter, Edit: change, Why: o.why, Limit: o.limit, DryRun: !o.yes}
		report, err := m.EditDevices(ctx, request)
		if err != nil {
			return err
		}
		if err := o.env.PrintData(report, editedRecord(report, o.yes)); err != nil || o.yes || o.dryRun {
			return err
		}
		return fmt.Errorf("%w: %s would be", errUnconfirmed, devices(report.Changed))
	})
}

func editedRecord(e fleet.Edited, done bool) record.Record {
	name := map[bool]string{true: "changed", false: "would change"}[done]
	r := record.Record{{Name: "selected", Value: e.Matched}, {Name: name, Value: e.Changed}}
	examples := []string{}
	for _, ref := range e.Examples {
		examples = append(examples, ref.String())
	}
	r.Add("for instance", examples)
	return r
}

// checkFilter shows where a filter is wrong, before anybody is asked.
func checkFilter(e *env.Env, text string) error {
	_, err := filter.Parse(text)
	var wrong *filter.Error
	if errors.As(err, &wrong) {
		e.Say("%s", wrong.Caret())
		return exit.Usagef("%w", err)
	}
	return err
}
