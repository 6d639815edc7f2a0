package main

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
)

const rootLong = `Secure over-the-air firmware updates for devices that were never designed for them.

Exit codes: 0 done or verified, 1 refused or failed, 2 wrong usage.`

const rootExample = `  ota sign firmware.bin --key-out private_key.pem
  ota verify firmware.bin --public-key public_key.pem --signature firmware.bin.sig
  ota init --vendor acme --device-type sensor_v1`

// newRoot wires the commands; each is in a file of its own.
func newRoot(e *env.Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "ota",
		Short:         "Sign, publish and serve firmware, and prove what happened",
		Long:          rootLong,
		Example:       rootExample,
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceErrors: true, // run prints them, with a hint
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(e.Stdin)
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	e.Flags(root.PersistentFlags())
	root.AddCommand(offline.Commands(e)...)
	return root
}
