package main

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceUnpinCommand(e *env.Env) *cobra.Command {
	o := &deviceEdit{env: e}
	return o.command("unpin {TYPE ID | --filter FILTER}",
		"Let a pinned device have any version again",
		`  ota device unpin sensor_v1 dev-0001
  ota device unpin --filter 'pin=1.2.0' --yes`,
		0, func(_ []string) (fleet.Edit, error) { return fleet.Edit{Pin: new("")}, nil })
}
