package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
)

func releaseSBOMCommand(e *env.Env) *cobra.Command {
	t, name, output := target{env: e}, "", ""
	cmd := &cobra.Command{
		Use:   "sbom TYPE VERSION | IDENTITY",
		Short: "Print an SBOM file of a release, as it was published",
		Example: `  ota release sbom sensor_v1 2.1.0 -o bom.cdx.json
  ota release sbom sensor_v1 2.1.0 --name bom.spdx.json | jq .packages[].name`,
		Args:              releaseArgs,
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				r, err := findRelease(ctx, m, args)
				if err != nil {
					return err
				}
				raw, err := m.ReleaseSBOM(ctx, r.Identity, name)
				if err != nil {
					return err
				}
				return e.CreateFile(output, raw, 0o644)
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&name, "name", "", "which, if there are several: a `NAME` that ota release show prints")
	cmd.Flags().StringVarP(&output, "output", "o", "-", "where it goes: `FILE`, which must not exist")
	return cmd
}
