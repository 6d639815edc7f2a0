package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/demo"
)

func demoCommand(e *env.Env) *cobra.Command {
	var cfg demo.Config
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job, from a key to firmware running on a device",
		Long: `Make keys, sign and publish a program, start a server and a device that runs it, update the
device, attack it in four ways, let a bad release revert by itself, and show the audit log: in a
directory of its own that is removed at the end, on loopback alone.

It leaves the server running until Ctrl-C; with --once it ends, and exits 0 only if everything
happened as it should. "make demo" builds the firmware that it needs.`,
		Example: `  make demo
  make demo ONCE=1
  ota demo --firmware bin/demo --once`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return runDemo(ctx, e, cfg)
		},
	}
	cmd.Flags().StringVar(&cfg.Firmware, "firmware", "bin/demo", "`DIR` with the demo's firmware")
	cmd.Flags().StringVar(&cfg.Agent, "agent", "", "`FILE` of ota-agent (default: beside ota)")
	cmd.Flags().BoolVar(&cfg.Once, "once", false, "end when everything was shown")
	return cmd
}

func runDemo(ctx context.Context, e *env.Env, cfg demo.Config) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cfg.Ota, cfg.Out = self, e.Stdout
	return demo.Run(ctx, cfg)
}
