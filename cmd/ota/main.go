// Command ota makes keys, signs firmware, keeps it, serves it, and proves
// afterwards what happened.
package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/secure-ota/secure-ota/internal/cli/command"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/hint"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the program. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env.Env{Stdin: stdin, Stdout: stdout, Stderr: stderr, Getenv: os.Getenv, Now: time.Now}
	err := command.Execute(ctx, newRoot(e, args))
	if err != nil {
		e.Fail(err, hint.For(err, onlineHints()))
	}
	return exit.Code(err)
}
