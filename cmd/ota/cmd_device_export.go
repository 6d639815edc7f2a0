package main

import (
	"bufio"
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/inventory"
)

type deviceExportOptions struct {
	env    *env.Env
	target target
	query  api.DeviceQuery
	format string
	output string
}

func deviceExportCommand(e *env.Env) *cobra.Command {
	o := deviceExportOptions{env: e, target: target{env: e}}
	cmd := &cobra.Command{
		Use:   "export [TYPE]",
		Short: "Write devices to a CSV or JSON file, without their secrets",
		Long: `Write devices to a file: CSV for spreadsheets, JSON for programs. What comes back edited goes in with
ota device import --update; docs/fleet.md describes the columns. A cell that a spreadsheet would take
for a formula gets an apostrophe in front, which the import takes away again.`,
		Example: `  ota device export -o devices.csv
  ota device export sensor_v1 --filter 'state=silent' --format json
  ota device export --filter 'label.site=berlin' | column -s, -t`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.query.DeviceType = args[0]
			}
			return o.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.query.Filter, "filter", "", "only devices that a `FILTER` selects (docs/filters.md)")
	flags.StringVar(&o.format, "format", "csv", "`FORMAT`: csv or json; --json is json, too")
	flags.StringVarP(&o.output, "output", "o", "-", "where it goes: `FILE`, which must not exist")
	o.target.flags(cmd)
	return cmd
}

// A deviceWriter writes a list of devices.
type deviceWriter interface {
	Write(api.Device) error
	Close() error
}

func (o *deviceExportOptions) run(ctx context.Context) error {
	if o.env.JSON {
		o.format = "json"
	}
	if o.format != "csv" && o.format != "json" {
		return exit.Usagef("--format %q: want csv or json", o.format)
	}
	if err := checkFilter(o.env, o.query.Filter); err != nil {
		return err
	}
	return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		return writeTo(o.env, o.output, func(w io.Writer) error { return o.write(ctx, m, w) })
	})
}

func (o *deviceExportOptions) write(ctx context.Context, m api.Management, out io.Writer) error {
	buffered := bufio.NewWriterSize(out, 64<<10)
	w, err := o.writer(buffered)
	if err != nil {
		return err
	}
	if err := api.EachDevice(ctx, m, o.query, 0, w.Write); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

func (o *deviceExportOptions) writer(w io.Writer) (deviceWriter, error) {
	if o.format == "json" {
		return inventory.NewJSONWriter(w), nil
	}
	return inventory.NewCSVWriter(w)
}
