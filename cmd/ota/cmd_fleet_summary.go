package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func fleetSummaryCommand(e *env.Env) *cobra.Command {
	t, filter, label := target{env: e}, "", ""
	cmd := &cobra.Command{
		Use:   "summary",
		Short: "Count devices by version, state, keyset and hardware revision",
		Example: `  ota fleet summary
  ota fleet summary --filter 'label.site=berlin' --label line --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFilter(e, filter); err != nil {
				return err
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				sum, err := m.FleetSummary(ctx, filter, label)
				if err != nil {
					return err
				}
				return e.PrintData(sum, fleetSummaryRecord(sum, label))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&filter, "filter", "", "only devices that a `FILTER` selects (docs/filters.md)")
	cmd.Flags().StringVar(&label, "label", "", "count the values of this label, too: a `NAME`")
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
