package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-ota/secure-ota/internal/agent"
)

// defaultConfig is where the configuration is unless something else is said.
const defaultConfig = "/etc/ota-agent.json"

// An environment is what every command has.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	config  string
	json    bool
	verbose bool
}

func (e *environment) flags(fs *flag.FlagSet) {
	fs.StringVar(&e.config, "config", cmp.Or(os.Getenv("OTA_AGENT_CONFIG"), defaultConfig), "configuration `FILE`")
	fs.BoolVar(&e.json, "json", false, "print data, and log, as JSON")
	fs.BoolVar(&e.verbose, "verbose", false, "log more")
}

// log writes words to stderr.
func (e *environment) log() *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if e.verbose {
		opts.Level = slog.LevelDebug
	}
	if e.json {
		return slog.New(slog.NewJSONHandler(e.stderr, opts))
	}
	// systemd and its like put the time before each line.
	opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(e.stderr, opts))
}

// open locks and opens the device.
func (e *environment) open() (*agent.Agent, error) {
	cfg, err := agent.LoadConfig(e.config)
	if err != nil {
		return nil, err
	}
	return agent.Open(cfg, e.log(), showProgress(e))
}

// print writes a value as JSON.
func (e *environment) print(v any) error {
	raw, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s\n", raw)
	return err
}
