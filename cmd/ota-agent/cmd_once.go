package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/secure-ota/secure-ota/client"
)

func cmdOnce() command {
	return command{
		name: "once", short: "one round: judge a trial, check, update, report",
		long: `
Does one round and ends, for devices that are woken by a timer. An image on trial
is judged first: the health command runs once, and decides.

  ota-agent once
  ota-agent once --json
`,
		setup: func(_ *flag.FlagSet, env *environment) func(context.Context, []string) error {
			return func(ctx context.Context, _ []string) error { return runOnce(ctx, env) }
		},
	}
}

// A round is what `once --json` prints.
type round struct {
	Switched bool        `json:"switched"` // a new image boots next
	Device   client.Info `json:"device"`
}

func runOnce(ctx context.Context, env *environment) error {
	a, err := env.open()
	if err != nil {
		return err
	}
	out, err := a.Once(ctx)
	info := a.Client().DeviceInfo()
	if err := errors.Join(err, a.Close()); err != nil {
		return err
	}
	if env.json {
		return env.print(round{out.Switched, info})
	}
	switch {
	case out.Switched:
		fmt.Fprintf(env.stdout, "%s is installed in the other slot and boots next, on trial.\n", info.Target)
	case info.Version == "":
		fmt.Fprintln(env.stdout, "Nothing is installed and nothing is offered.")
	default:
		fmt.Fprintf(env.stdout, "%s is installed; there is nothing new to do.\n", info.Version)
	}
	return nil
}
