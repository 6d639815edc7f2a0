package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
)

type deviceListOptions struct {
	env     *env.Env
	target  target
	query   api.DeviceQuery
	limit   int
	columns []string
	count   bool
}

func deviceListCommand(e *env.Env) *cobra.Command {
	o := deviceListOptions{env: e, target: target{env: e}}
	cmd := &cobra.Command{
		Use:   "list [TYPE]",
		Short: "List devices: what they run, and when they were last here",
		Long: `List devices, of one type or all, and of them those that a filter selects. A filter is an expression
such as label.site=berlin and version<1.2.0 and not state=silent: docs/filters.md has all fields.

Columns: ` + strings.Join(slices.Sorted(maps.Keys(deviceColumns)), " ") + ` label.NAME`,
		Example: `  ota device list sensor_v1 --json
  ota device list --filter 'state=silent or seen>2d' --sort seen
  ota device list --filter 'hold or pin' --columns type,device,pin,note,label.site
  ota device list --filter 'version<1.2.0' --count`,
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
	flags.StringVar(&o.query.Filter, "filter", "", "only devices that a `FILTER` selects")
	flags.StringVar(&o.query.Sort, "sort", "", "by `FIELD`: id, seen, added, version, keyset or state; with - before it the other way round")
	flags.StringSliceVar(&o.columns, "columns", []string{"type", "device", "state", "version", "sequence", "keyset", "seen"}, "what to show of each, a `LIST`")
	flags.IntVar(&o.limit, "limit", 0, "at most `N` devices (default: all)")
	flags.BoolVar(&o.count, "count", false, "only say how many there are")
	cmd.MarkFlagsMutuallyExclusive("count", "sort")
	cmd.MarkFlagsMutuallyExclusive("count", "limit")
	o.target.flags(cmd)
	return cmd
}

func (o *deviceListOptions) run(ctx context.Context) error {
	if err := checkFilter(o.env, o.query.Filter); err != nil {
		return err
	}
	for _, name := range o.columns {
		if _, ok := deviceColumns[name]; !ok && !strings.HasPrefix(name, labelColumn) {
			return exit.Usagef("--columns: %q is none: see ota device list --help", name)
		}
	}
	if o.limit < 0 {
		return exit.Usagef("--limit %d: want a number of devices", o.limit)
	}
	return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		if o.count {
			return o.printCount(ctx, m)
		}
		list := []api.Device{}
		err := api.EachDevice(ctx, m, o.query, o.limit, func(d api.Device) error {
			list = append(list, d)
			return nil
		})
		if err != nil {
			return err
		}
		return o.env.PrintData(list, deviceTable(list, o.columns))
	})
}

func (o *deviceListOptions) printCount(ctx context.Context, m api.Management) error {
	sum, err := m.FleetSummary(ctx, api.SummaryQuery{DeviceType: o.query.DeviceType, Filter: o.query.Filter})
	if err != nil {
		return err
	}
	return o.env.Print(record.Record{{Name: "devices", Value: sum.Devices}})
}

// A deviceColumn is a heading, and what stands below it.
type deviceColumn struct {
	heading string
	value   func(api.Device) any
}

// labelColumn precedes the name of a label.
const labelColumn = "label."

var deviceColumns = map[string]deviceColumn{
	"type":     {"device type", func(d api.Device) any { return d.DeviceType }},
	"device":   {"device", func(d api.Device) any { return d.ID }},
	"vendor":   {"vendor", func(d api.Device) any { return d.Vendor }},
	"level":    {"level", func(d api.Device) any { return d.Level }},
	"hardware": {"hardware", func(d api.Device) any { return d.HardwareRevision }},
	"state":    {"state", func(d api.Device) any { return d.State }},
	"version":  {"version", func(d api.Device) any { return d.Version }},
	"sequence": {"sequence", func(d api.Device) any { return reported(d, d.Installed.Sequence) }},
	"keyset":   {"keyset", func(d api.Device) any { return reported(d, d.KeysetVersion) }},
	"boot":     {"boot", func(d api.Device) any { return reported(d, d.Boot) }},
	"error":    {"last error", func(d api.Device) any { return d.LastErrorText }},
	"seen":     {"last seen", func(d api.Device) any { return moment(d.LastSeen) }},
	"added":    {"added", func(d api.Device) any { return moment(d.AddedAt) }},
	"hold":     {"held", func(d api.Device) any { return d.Hold }},
	"pin":      {"pinned to", func(d api.Device) any { return d.Pin }},
	"now":      {"updates now", func(d api.Device) any { return d.UpdateNow }},
	"note":     {"note", func(d api.Device) any { return d.Note }},
	"why":      {"not offered because", func(d api.Device) any { return d.Why }},
}

func deviceTable(list []api.Device, columns []string) record.Table {
	t := record.Table{}
	for _, d := range list {
		var row record.Record
		for _, name := range columns {
			if key, ok := strings.CutPrefix(name, labelColumn); ok {
				row.Add(key, d.Labels[key])
				continue
			}
			c := deviceColumns[name]
			row.Add(c.heading, c.value(d))
		}
		t = append(t, row)
	}
	return t
}

// moment shows a time, and none as none.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Format(time.RFC3339)
}
