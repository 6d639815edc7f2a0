package offline

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/home"
)

func keysetExportCommand(e *env.Env) *cobra.Command {
	output, bundle := "", false
	cmd := &cobra.Command{
		Use:   "export TYPE [VERSION]",
		Short: "Export a signed keyset, or all of a type with their keys as a bundle",
		Long: `Export a signed keyset (default: the newest), as devices are provisioned with it. With --bundle
all keysets of the type, oldest first, and the public keys they name.`,
		Example: `  ota keyset export sensor_v1 -o sensor_v1.keyset
  ota keyset export sensor_v1 --bundle -o sensor_v1.bundle`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: CompleteTypeArg(e),
		RunE: func(_ *cobra.Command, args []string) error {
			if bundle && len(args) > 1 {
				return exit.Usagef("a bundle holds all versions")
			}
			h, err := e.Home()
			if err != nil {
				return err
			}
			data, err := keysetArg(h, args)
			if err == nil && bundle {
				data, err = encodedBundle(h, args[0])
			}
			if err != nil {
				return err
			}
			return e.WriteFile(output, data, 0o644)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "-", "where it goes: `FILE`, or - for standard output")
	cmd.Flags().BoolVar(&bundle, "bundle", false, "all keysets of the type and their public keys")
	return cmd
}

func encodedBundle(h *home.Home, deviceType string) ([]byte, error) {
	b, err := KeysetBundle(h, deviceType)
	if err != nil {
		return nil, err
	}
	return b.Encode()
}
