package main

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/manifest"
)

type auditListOptions struct {
	env    *env.Env
	target target
	filter audit.Filter
	since  time.Duration
}

func auditListCommand(e *env.Env) *cobra.Command {
	o := auditListOptions{env: e, target: target{env: e}}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what happened, the newest first",
		Example: `  ota audit list --action release. --since 24h
  ota audit list --object device:sensor_v1/dev-0001 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.filter.Actor, "actor", "", "only what `WHO` did, such as token:ci")
	flags.StringVar(&o.filter.Action, "action", "", "only this `ACTION`; with a dot at its end all below it, such as release.")
	flags.StringVar(&o.filter.Object, "object", "", "only what happened to `WHAT`, such as device:sensor_v1/dev-0001")
	flags.DurationVar(&o.since, "since", 0, "only the last `TIME`, such as 24h")
	flags.Int64Var(&o.filter.Before, "before", 0, "only records before this `NUMBER`: the next page")
	flags.IntVar(&o.filter.Limit, "limit", 100, "at most this `NUMBER` of records")
	flags.BoolVar(&o.filter.Oldest, "oldest", false, "the oldest first")
	o.target.flags(cmd)
	return cmd
}

func (o *auditListOptions) run(ctx context.Context) error {
	if o.since > 0 {
		o.filter.Since = o.env.Now().Add(-o.since)
	}
	return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		list, err := m.AuditRecords(ctx, o.filter)
		if err != nil {
			return err
		}
		t := record.Table{}
		for _, r := range list {
			t = append(t, record.Record{
				{Name: "n", Value: r.Seq},
				{Name: "time", Value: r.Time.Format(time.RFC3339)},
				{Name: "actor", Value: r.Actor},
				{Name: "action", Value: r.Action},
				{Name: "object", Value: r.Object},
				{Name: "after", Value: brief(r.After)},
			})
		}
		return o.env.PrintData(list, t)
	})
}

// brief makes a JSON object fit a line that people read: name=value, digests cut
// to as much as tells them apart. Text that could pass for more than one value
// keeps its quotes, since devices write some of it. --json prints everything.
func brief(raw jsontext.Value) string {
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	if first, err := dec.ReadToken(); err != nil || first.Kind() != '{' {
		return string(raw)
	}
	var words []string
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return string(raw)
		}
		word := name.String() + "="
		value, err := dec.ReadValue()
		if err != nil {
			return string(raw)
		}
		words = append(words, word+briefValue(value))
	}
	return strings.Join(words, " ")
}

func briefValue(v jsontext.Value) string {
	if v.Kind() != '"' {
		return string(v)
	}
	text, err := jsontext.AppendUnquote(nil, v)
	if err != nil || len(text) == 0 || bytes.ContainsAny(text, " =\"\\") {
		return string(v)
	}
	if _, err := manifest.ParseDigest(string(text)); err == nil {
		return string(text[:8]) + "…"
	}
	return string(text)
}
