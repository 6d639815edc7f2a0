package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// The exit codes.
const (
	exitFine    = 0
	exitRefused = 1 // refused or failed
	exitUsage   = 2
)

// errUsage is wrapped by what is wrong with the command line.
var errUsage = errors.New("wrong usage")

// A command is one word of the command line.
type command struct {
	name    string
	args    string // after the flags, for the usage line
	short   string // one line
	long    string // what it does, and examples
	maxArgs int
	setup   func(*flag.FlagSet, *environment) func(context.Context, []string) error
}

func commands() []command {
	return []command{
		cmdEnrol(), cmdProvision(), cmdRun(), cmdSupervise(), cmdOnce(), cmdStatus(), cmdConfirm(), cmdReject(), cmdRollback(), cmdBoot(),
		cmdVersion(),
	}
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	env := &environment{stdin: stdin, stdout: stdout, stderr: stderr}
	err := dispatch(ctx, args, env)
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "ota-agent:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "ota-agent:", err)
	return exitRefused
}

func dispatch(ctx context.Context, args []string, env *environment) error {
	if len(args) == 0 {
		usage(env.stderr)
		return fmt.Errorf("%w: which command?", errUsage)
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(env, rest)
	case "--once", "-once":
		name = "once"
	case "--version", "-version":
		name = "version"
	}
	for _, c := range commands() {
		if c.name == name {
			return c.run(ctx, rest, env)
		}
	}
	return fmt.Errorf("%w: no command %q (`ota-agent help` lists them)", errUsage, name)
}

func (c command) run(ctx context.Context, args []string, env *environment) error {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	env.flags(fs)
	do := c.setup(fs, env)
	words, err := parse(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		c.help(env.stdout, fs)
		return nil
	case err != nil:
		return fmt.Errorf("%w: %s: %v (`ota-agent help %s`)", errUsage, c.name, err, c.name)
	case len(words) > c.maxArgs:
		return fmt.Errorf("%w: %s: unexpected %q", errUsage, c.name, words[c.maxArgs])
	}
	return do(ctx, words)
}

// parse parses flags before and after the other arguments, which it returns.
func parse(fs *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := fs.Parse(args); err != nil || fs.NArg() == 0 {
			return words, err
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
}

func usage(w io.Writer) {
	fmt.Fprint(w, "ota-agent takes signed firmware updates on a Linux device.\n\nUsage: ota-agent COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.short)
	}
	fmt.Fprint(w, `
Exit codes: 0 fine, 1 refused or failed, 2 wrong usage.
The configuration is /etc/ota-agent.json, OTA_AGENT_CONFIG or --config.

  ota-agent help COMMAND   explains one, with examples
`)
}

func help(env *environment, args []string) error {
	if len(args) == 0 {
		usage(env.stdout)
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
			env.flags(fs)
			c.setup(fs, env)
			c.help(env.stdout, fs)
			return nil
		}
	}
	return fmt.Errorf("%w: no command %q", errUsage, args[0])
}

func (c command) help(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "Usage: ota-agent %s [flags]%s\n\n%s\n\nFlags:\n", c.name, strings.TrimRight(" "+c.args, " "), strings.TrimSpace(c.long))
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  --%-28s %s\n", strings.TrimSpace(f.Name+" "+value), text)
	})
}
