package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/server"
)

// childDir tells a test binary to be a server on that directory instead, and
// the others where it stores the rest.
const (
	childDir      = "OTA_TEST_SERVER_DIR"
	childDatabase = "OTA_TEST_SERVER_DATABASE"
	childBlobs    = "OTA_TEST_SERVER_BLOBS"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := runChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// hello is what a child says when it listens.
type hello struct{ TLS, Plain, Fingerprint, Token string }

func runChild(dir string) error {
	ctx := context.Background()
	s, err := server.New(ctx, server.Config{
		Dir: dir, Database: os.Getenv(childDatabase), Blobs: os.Getenv(childBlobs),
		TLSAddress: "127.0.0.1:0", PlainAddress: "127.0.0.1:0", Retry: time.Second,
	})
	if err != nil {
		return err
	}
	if err := s.Listen(ctx); err != nil {
		return err
	}
	token, _ := s.InitialToken()
	line, err := json.Marshal(hello{"https://" + s.TLSAddr().String(), "http://" + s.PlainAddr().String(), s.Fingerprint(), token})
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	ctx, stop := context.WithCancel(ctx)
	go func() { // a child does not outlive its parent
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return s.Run(ctx)
}

// A child is a server in a process of its own, to be killed.
type child struct {
	hello
	cmd   *exec.Cmd
	stdin io.Closer
}

func startChild(t *testing.T, dir string, wrapper ...string) *child {
	t.Helper()
	return startAt(t, site{dir: dir}, wrapper...)
}

// A site is where a server keeps what it has.
type site struct{ dir, database, blobs string }

func startAt(t *testing.T, at site, wrapper ...string) *child {
	t.Helper()
	program := append(wrapper, os.Args[0])
	c := &child{cmd: exec.Command(program[0], program[1:]...)}
	c.cmd.Env = append(os.Environ(), childDir+"="+at.dir, childDatabase+"="+at.database, childBlobs+"="+at.blobs)
	c.cmd.Stderr = os.Stderr
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	if err := json.Unmarshal(line, &c.hello); err != nil {
		t.Fatal(err)
	}
	return c
}

// end lets the server come to an orderly end.
func (c *child) end(t *testing.T) {
	t.Helper()
	c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the server ended: %v", err)
	}
}

// kill is kill -9 of this one process.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}
