package main

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceUpdateNowCommand(e *env.Env) *cobra.Command {
	o, cancel := &deviceEdit{env: e}, false
	cmd := o.command("update-now {TYPE ID | --filter FILTER}",
		"Let a device have its update without waiting for its turn in a rollout",
		`  ota device update-now sensor_v1 dev-0001
  ota device update-now --filter 'label.site=berlin' --yes
  ota device update-now sensor_v1 dev-0001 --cancel`,
		0, func([]string) (fleet.Edit, error) { return fleet.Edit{UpdateNow: new(!cancel)}, nil })
	cmd.Flags().BoolVar(&cancel, "cancel", false, "let it wait for its turn again")
	return cmd
}
