package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/rogpeppe/go-internal/testscript"
)

// serverCmd is "server ARGS...": starts "ota serve" on free loopback ports as a
// process, waits until it listens, and sets SERVER, PLAIN if it has such a listener,
// FINGERPRINT, and on the first start TOKEN. It is stopped by "stopserver", or at the end of the script.
func serverCmd(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ota", append([]string{"serve", "--listen", "127.0.0.1:0", "--json"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "OTA_HOME="+ts.Getenv("OTA_HOME"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	done := make(chan error, 1)
	stop := func() {
		cancel()
		<-done
		io.Copy(io.Discard, out)
	}
	ts.Defer(stop)
	var said struct {
		TLS         string `json:"tls"`
		Plain       string `json:"plain"`
		Fingerprint string `json:"fingerprint"`
		Token       string `json:"administrator_token"`
	}
	err = json.UnmarshalDecode(jsontext.NewDecoder(bufio.NewReader(out)), &said)
	go func() { done <- cmd.Wait(); close(done) }()
	if err != nil {
		stop()
		ts.Fatalf("ota serve said nothing: %v\n%s", err, log.String())
	}
	ts.Setenv("SERVER", said.TLS)
	ts.Setenv("PLAIN", said.Plain)
	ts.Setenv("FINGERPRINT", said.Fingerprint)
	if said.Token != "" {
		ts.Setenv("TOKEN", said.Token)
	}
	ts.Value(serverKey{}).(*stopper).stop = stop
}

// serverKey finds the stopper of a script.
type serverKey struct{}

type stopper struct{ stop func() }

func stopServerCmd(ts *testscript.TestScript, neg bool, args []string) {
	ts.Value(serverKey{}).(*stopper).stop()
}
