package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func fleetSummaryCommand(e *env.Env) *cobra.Command {
	t, q := target{env: e}, api.SummaryQuery{}
	cmd := &cobra.Command{
		Use:   "summary [TYPE]",
		Short: "Count devices by version, state, keyset and hardware revision",
		Long: `Count devices, of one type or all, by version, state, keyset and hardware revision.

A token of some device types only has to name one of them.`,
		Example: `  ota fleet summary
  ota fleet summary sensor_v1
  ota fleet summary --filter 'label.site=berlin' --label line --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.DeviceType = args[0]
			}
			if err := checkFilter(e, q.Filter); err != nil {
				return err
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				sum, err := m.FleetSummary(ctx, q)
				if err != nil {
					return err
				}
				return e.PrintData(sum, fleetSummaryRecord(sum, q.Label))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&q.Filter, "filter", "", "only devices that a `FILTER` selects (docs/filters.md)")
	cmd.Flags().StringVar(&q.Label, "label", "", "count the values of this label, too: a `NAME`")
	return cmd
}

func fleetSummaryRecord(sum fleet.Summary, label string) record.Record {
	r := record.Record{{Name: "devices", Value: sum.Devices}}
	for _, t := range sum.Types {
		part := record.Record{{Name: "devices", Value: t.Devices}}
		part.Add("versions", facetWords(t.Versions, "not published"))
		part.Add("states", facetWords(t.States, "none"))
		part.Add("keysets", facetWords(t.Keysets, "none"))
		part.Add("hardware", facetWords(t.Hardware, "not said"))
		if label != "" {
			part.Add("label "+label, facetWords(t.Labels, "without"))
		}
		r.Add(t.DeviceType, part)
	}
	return r
}

// maxFacetWords is how many values people are shown.
const maxFacetWords = 12

func facetWords(f fleet.Facet, none string) []string {
	words := []string{}
	for i, c := range f.Counts {
		if i == maxFacetWords {
			words = append(words, fmt.Sprintf("and %d values more", len(f.Counts)-i))
			break
		}
		value := c.Value
		if value == "" {
			value = none
		}
		words = append(words, fmt.Sprintf("%s: %d", value, c.Devices))
	}
	if f.Others > 0 {
		words = append(words, fmt.Sprintf("others: %d", f.Others))
	}
	return words
}
