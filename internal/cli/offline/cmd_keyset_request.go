package offline

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
)

func keysetRequestCommand(e *env.Env) *cobra.Command {
	output := ""
	cmd := &cobra.Command{
		Use:   "request TYPE",
		Short: "Export the keyset that waits for signatures, to be carried to a root's machine",
		Long: `Export the keyset that waits for signatures, with the signatures it has, the keyset before it
and the public keys: one file to carry to each machine that holds a root.

  here          ota keyset request sensor_v1 -o sensor_v1.request
  root holder   ota keyset sign sensor_v1.request --key root-2.pem
  here          ota keyset import sensor_v1.request

Several holders may sign in turn, or each a copy: import unites the signatures.`,
		Example:           `  ota keyset request sensor_v1 -o /media/stick/sensor_v1.request`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: CompleteTypeArg(e),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := e.Home()
			if err != nil {
				return err
			}
			r, err := requestOf(h, args[0])
			if err != nil {
				return err
			}
			data, err := r.bundle.Encode()
			if err != nil {
				return err
			}
			if output == "" {
				output = args[0] + ".request"
			}
			if err := e.WriteFile(output, data, 0o644); err != nil || output == "-" {
				return err
			}
			e.Say("wrote %s", output)
			return r.print(e, h)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "where it goes: `FILE` (default: TYPE.request)")
	return cmd
}
