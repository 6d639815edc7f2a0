// Package offline holds the commands that work with private keys: sign,
// verify, manifest, inspect, init, key and keyset. It reaches no network
// (internal/archtest): what is to be published leaves it as a finished, signed
// trust.Bundle.
package offline

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/command"
	"github.com/secure-ota/secure-ota/internal/cli/env"
)

// Commands returns the offline commands, to be made when they are asked for.
func Commands(e *env.Env) []command.Lazy {
	return []command.Lazy{
		{Name: "sign", Make: func() *cobra.Command { return signCommand(e) }},
		{Name: "verify", Make: func() *cobra.Command { return verifyCommand(e) }},
		{Name: "manifest", Make: func() *cobra.Command { return manifestCommand(e) }},
		{Name: "inspect", Make: func() *cobra.Command { return inspectCommand(e) }},
		{Name: "init", Make: func() *cobra.Command { return initCommand(e) }},
		{Name: "key", Make: func() *cobra.Command {
			return command.Group("key", "Make, show, rotate and export keys",
				keyGenerateCommand(e), keyListCommand(e), keyShowCommand(e), keyRotateCommand(e), keyExportCommand(e))
		}},
		{Name: "keyset", Make: func() *cobra.Command {
			return command.Group("keyset", "Say whom the devices of a type trust, signed by the roots",
				keysetNewCommand(e), keysetShowCommand(e), keysetListCommand(e), keysetRequestCommand(e), keysetSignCommand(e),
				keysetImportCommand(e), keysetExportCommand(e), keysetDiscardCommand(e))
		}},
	}
}
