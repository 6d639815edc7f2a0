package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"syscall"
)

func cmdBoot() command {
	return command{
		name: "boot", short: "the boot stage: choose the slot and start its program",
		long: `
Chooses the slot, counts a try of a trial down, compares the slot with the digest
recorded when it was installed, and becomes its program (exec). It is the boot
loader of a device whose boot_loader is "file" and whose firmware is one program;
the agent itself then runs beside it ("run").

  ota-agent boot
  ota-agent boot --print      say what would be started next, and count the try
`,
		setup: func(fs *flag.FlagSet, env *environment) func(context.Context, []string) error {
			show := fs.Bool("print", false, "print the command line instead of starting it")
			return func(ctx context.Context, _ []string) error { return boot(ctx, env, *show) }
		},
	}
}

func boot(ctx context.Context, env *environment, show bool) error {
	a, err := env.open()
	if err != nil {
		return err
	}
	args, err := a.Exec(ctx)
	// The program must not inherit the device's lock.
	if err := errors.Join(err, a.Close()); err != nil {
		return err
	}
	if env.json {
		return env.print(args)
	}
	if show {
		fmt.Fprintln(env.stdout, args[0])
		return nil
	}
	return fmt.Errorf("start %s: %w", args[0], syscall.Exec(args[0], args, os.Environ()))
}
