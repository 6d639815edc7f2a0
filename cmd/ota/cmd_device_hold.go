package main

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceHoldCommand(e *env.Env) *cobra.Command {
	o := &deviceEdit{env: e}
	return o.command("hold {TYPE ID | --filter FILTER}",
		"Offer a device nothing until it is no longer held",
		`  ota device hold sensor_v1 dev-0001 --reason 'under repair'
  ota device hold --filter 'label.site=berlin' --yes`,
		0, func(_ []string) (fleet.Edit, error) { return fleet.Edit{Hold: new(true)}, nil })
}
