package main

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceNoteCommand(e *env.Env) *cobra.Command {
	o := &deviceEdit{env: e}
	return o.command("note {TYPE ID | --filter FILTER} TEXT",
		"Write a note on a device; an empty one removes it",
		`  ota device note sensor_v1 dev-0001 'behind the pump, key at the gate'
  ota device note sensor_v1 dev-0001 ''`,
		1, func(args []string) (fleet.Edit, error) { return fleet.Edit{Note: &args[0]}, nil })
}
