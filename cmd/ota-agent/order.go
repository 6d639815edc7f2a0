package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/agent"
)

// order makes the command that gives an order to the device.
func order(what agent.Order, done string) func(*flag.FlagSet, *environment) func(context.Context, []string) error {
	return func(_ *flag.FlagSet, env *environment) func(context.Context, []string) error {
		return func(ctx context.Context, _ []string) error {
			cfg, err := agent.LoadConfig(env.config)
			if err != nil {
				return err
			}
			if err := cfg.Command(ctx, what, env.open); err != nil {
				return err
			}
			if !env.json {
				fmt.Fprintln(env.stdout, done)
				return nil
			}
			return status(env)
		}
	}
}
