package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
)

func cmdVersion() command {
	return command{
		name: "version", short: "print the version of the agent", long: "Prints the version of the agent and what it was built for.",
		setup: func(_ *flag.FlagSet, env *environment) func(context.Context, []string) error {
			return func(context.Context, []string) error {
				if env.json {
					return env.print(map[string]string{"version": version, "platform": runtime.GOOS + "/" + runtime.GOARCH})
				}
				_, err := fmt.Fprintf(env.stdout, "ota-agent %s %s/%s\n", version, runtime.GOOS, runtime.GOARCH)
				return err
			}
		},
	}
}
