package offline

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
)

func keysetDiscardCommand(e *env.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "discard TYPE",
		Short:             "Forget the keyset that waits for signatures",
		Long:              "Forget the keyset that waits for signatures, with those it has. Copies that were exported stay what they are.",
		Example:           "  ota keyset discard sensor_v1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: CompleteTypeArg(e),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := e.Home()
			if err != nil {
				return err
			}
			if _, err := requestOf(h, args[0]); err != nil {
				return err
			}
			return h.DropRequest(args[0])
		},
	}
}
