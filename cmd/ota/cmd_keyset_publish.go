package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/record"
)

func keysetPublishCommand(e *env.Env) *cobra.Command {
	t := target{env: e, create: true}
	cmd := &cobra.Command{
		Use:   "publish TYPE",
		Short: "Bring a device type's keysets to a server, so that devices find the newest",
		Long: `Bring the signed keysets of a device type to a server. "ota publish" does so by itself; this is
for a rotation or revocation that is not to wait for the next release.`,
		Example:           `  ota keyset publish sensor_v1 --server https://ota.example.com`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: offline.CompleteTypeArg(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := e.Home()
			if err != nil {
				return err
			}
			return t.with(cmd.Context(), func(ctx context.Context, m api.Management) error {
				if err := publishKeysets(ctx, m, h, args[0]); err != nil {
					return err
				}
				list, err := m.Keysets(ctx, args[0])
				if err != nil {
					return err
				}
				return e.PrintData(list, keysetTable(list))
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func keysetTable(list []api.Keyset) record.Table {
	t := record.Table{}
	for _, ks := range list {
		t = append(t, record.Record{
			{Name: "device type", Value: ks.DeviceType},
			{Name: "keyset version", Value: ks.Version},
			{Name: "security floor", Value: ks.SecurityFloor},
			{Name: "sha256", Value: ks.Hash},
		})
	}
	return t
}
