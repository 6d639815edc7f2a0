package main

import (
	"context"
	"flag"

	"github.com/secure-ota/secure-ota/internal/agent"
)

func cmdSupervise() command {
	return command{
		name: "supervise", short: "the daemon of a device whose firmware is one program",
		long: `
Starts the program in the active slot and keeps it running, takes updates as
"run" does, and starts the program of the other slot when one is installed. A new
program is on trial: it has to keep running, and the health command has to
succeed, until it is confirmed; otherwise the old program is started again.

  ota-agent supervise --config device/config.json
`,
		setup: func(_ *flag.FlagSet, env *environment) func(context.Context, []string) error {
			return func(ctx context.Context, _ []string) error {
				return daemon(env, func(a *agent.Agent) error { return a.Supervise(ctx) })
			}
		},
	}
}
