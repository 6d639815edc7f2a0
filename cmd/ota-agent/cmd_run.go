package main

import (
	"context"
	"errors"
	"flag"

	"github.com/secure-ota/secure-ota/internal/agent"
)

func cmdRun() command {
	return command{
		name: "run", short: "the daemon of a device that boots as a whole",
		long: `
Asks the server for updates, as often as the server wants, takes them into the
slot that does not run, has the boot loader start it on trial, and confirms it
or goes back. It feeds systemd's watchdog and the hardware's. SIGTERM ends it.

With --once it does one round and ends: 0 fine, 1 refused or failed.

  ota-agent run
  ota-agent run --config /etc/ota-agent.json --json
`,
		setup: func(fs *flag.FlagSet, env *environment) func(context.Context, []string) error {
			once := fs.Bool("once", false, "one round only")
			return func(ctx context.Context, _ []string) error {
				if *once {
					return runOnce(ctx, env)
				}
				return daemon(env, func(a *agent.Agent) error { return a.Run(ctx) })
			}
		},
	}
}

func daemon(env *environment, serve func(*agent.Agent) error) error {
	a, err := env.open()
	if err != nil {
		return err
	}
	return errors.Join(serve(a), a.Close())
}
