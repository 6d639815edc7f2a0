// Command ota-agent is the update agent of a Linux device: it takes signed
// firmware from a server into an A/B slot, has it booted on trial, confirms it or
// goes back, and reports what happened (docs/agent.md).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set when the program is linked.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
