package main

import (
	"context"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/report"
)

type reportOptions struct {
	env        *env.Env
	target     target
	from, to   string
	filter     string
	format     string
	output     string
	withoutLog bool
}

func reportCommand(e *env.Env) *cobra.Command {
	o := reportOptions{env: e, target: target{env: e}}
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Say what ran where over a range of dates, with the signed evidence",
		Long: `Say what ran where from one date to another: for each device which image, from when until when, and the
records of the audit log by which the device itself said so. The report follows from the log and from
nothing else; ota report verify computes it again and holds it against the audit key.

The JSON form carries the log up to a checkpoint that the server signs now, and so all that is needed to verify
it. Of a long log leave that out with --without-log, and keep it beside the report (ota audit export). The log
has records of all devices, also of those that --filter leaves out.`,
		Example: `  ota report --from 2026-01-01 --to 2026-06-30 -o report.json
  ota report --from 2026-01-01 --to 2026-06-30 -o report.html
  ota report --from 2026-01-01 --to 2026-06-30 --filter label.site=berlin --without-log -o berlin.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "", "the first `DATE`, or a time such as 2026-01-01T08:00:00Z")
	flags.StringVar(&o.to, "to", "", "the last `DATE`, or a time that is not in it any more")
	flags.StringVar(&o.filter, "filter", "", "only devices that a `FILTER` selects now (docs/filters.md)")
	flags.StringVar(&o.format, "format", "", "`FORMAT`: json or html (default: that of the output's name, or json)")
	flags.StringVarP(&o.output, "output", "o", "-", "where it goes: `FILE`, which must not exist")
	flags.BoolVar(&o.withoutLog, "without-log", false, "leave the log out of the JSON form")
	cmd.MarkFlagRequired("from")
	cmd.MarkFlagRequired("to")
	o.target.flags(cmd)
	cmd.AddCommand(reportVerifyCommand(e))
	return cmd
}

func (o *reportOptions) run(ctx context.Context) error {
	from, to, err := o.dates()
	if err != nil {
		return err
	}
	if o.format == "" {
		o.format = "json"
		if filepath.Ext(o.output) == ".html" && !o.env.JSON {
			o.format = "html"
		}
	}
	if o.format != "json" && o.format != "html" {
		return exit.Usagef("--format %q: want json or html", o.format)
	}
	if err := checkFilter(o.env, o.filter); err != nil {
		return err
	}
	return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		r, records, err := api.MakeReport(ctx, m, api.ReportQuery{From: from, To: to, Filter: o.filter, MadeAt: o.env.Now()})
		if err != nil {
			return err
		}
		if o.withoutLog {
			records = nil
		}
		err = writeTo(o.env, o.output, func(w io.Writer) error {
			if o.format == "html" {
				return report.WritePage(w, r)
			}
			return report.Write(w, r, records)
		})
		if err != nil || o.output == "-" {
			return err
		}
		return o.env.Print(record.Record{
			{Name: "report", Value: o.output},
			{Name: "devices", Value: len(r.Devices)},
			{Name: "records", Value: r.Checkpoint.Seq, Note: "of the audit log"},
		})
	})
}

// dates reads the range, of which the last day is a part, and which does not
// reach into the future: nothing is known of that.
func (o *reportOptions) dates() (from, to time.Time, err error) {
	from, _, err = readDate("--from", o.from)
	if err != nil {
		return from, to, err
	}
	_, to, err = readDate("--to", o.to)
	if err != nil {
		return from, to, err
	}
	if now := o.env.Now().UTC().Truncate(time.Millisecond); to.After(now) {
		o.env.Say("the report ends now: nothing is known of the time to come")
		to = now
	}
	if !from.Before(to) {
		return from, to, exit.Usagef("--from %s is not before --to %s", o.from, o.to)
	}
	return from, to, nil
}

// readDate returns the beginning of a day and of the day after it, or twice a
// time.
func readDate(flag, text string) (begin, end time.Time, err error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, day.AddDate(0, 0, 1), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, at, exit.Usagef("%s %q: want a date such as 2026-01-31, or a time such as 2026-01-31T08:00:00Z", flag, text)
	}
	return at.UTC(), at.UTC(), nil
}
