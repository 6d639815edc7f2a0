// Command run tells the whole way of an update to a microcontroller, with the
// programs that a user would run: keys, a server, a provisioned flash, a gateway
// at the serial line, and the board of this example in QEMU. It fails if
// anything is not as it should be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	s := story{out: stdout}
	flags.StringVar(&s.ota, "ota", "ota", "the ota program, as an absolute path")
	flags.StringVar(&s.images, "images", "", "directory of bootloader.elf and the applications, as an absolute path")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := s.tell(ctx); err != nil {
		fmt.Fprintln(stderr, "run:", err)
		return 1
	}
	return 0
}
