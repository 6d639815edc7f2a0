package main

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceUnholdCommand(e *env.Env) *cobra.Command {
	o := &deviceEdit{env: e}
	return o.command("unhold {TYPE ID | --filter FILTER}",
		"Let a held device have releases again",
		`  ota device unhold sensor_v1 dev-0001
  ota device unhold --filter 'hold and label.site=berlin' --yes`,
		0, func(_ []string) (fleet.Edit, error) { return fleet.Edit{Hold: new(false)}, nil })
}
