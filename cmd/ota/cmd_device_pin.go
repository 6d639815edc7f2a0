package main

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/fleet"
	semver "github.com/secure-ota/secure-ota/version"
)

func devicePinCommand(e *env.Env) *cobra.Command {
	o := &deviceEdit{env: e}
	return o.command("pin {TYPE ID | --filter FILTER} VERSION",
		"Offer a device one version and no other; to an older one leads an approved downgrade (ota release downgrade)",
		`  ota device pin sensor_v1 dev-0001 1.2.0
  ota device pin --filter 'label.line=3' 1.2.0 --yes --reason 'certified with 1.2.0'`,
		1, readPin)
}

func readPin(args []string) (fleet.Edit, error) {
	v, err := semver.Parse(args[0])
	if err != nil {
		return fleet.Edit{}, exit.Usagef("%w", err)
	}
	return fleet.Edit{Pin: new(v.String())}, nil
}
