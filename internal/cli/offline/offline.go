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

// Commands returns the offline commands.
func Commands(e *env.Env) []*cobra.Command {
	return []*cobra.Command{
		signCommand(e),
		verifyCommand(e),
		manifestCommand(e),
		inspectCommand(e),
		initCommand(e),
		command.Group("key", "Make, show, rotate and export keys",
			keyGenerateCommand(e), keyListCommand(e), keyShowCommand(e), keyRotateCommand(e), keyExportCommand(e)),
		command.Group("keyset", "Say whom the devices of a type trust, signed by the roots",
			keysetNewCommand(e), keysetShowCommand(e), keysetListCommand(e), keysetRequestCommand(e), keysetSignCommand(e),
			keysetImportCommand(e), keysetExportCommand(e), keysetDiscardCommand(e)),
	}
}
