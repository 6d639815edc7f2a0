package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent/testserver"
)

func provisioning() client.Provisioning {
	author := testserver.NewAuthor("acme", "gateway")
	return testserver.New(author).AddDevice("gw-1", 1)
}

func TestHealthCommandThatWritesWithoutEndIsOutlived(t *testing.T) {
	a := testAgent(Config{Trial: Trial{Health: []string{"/bin/sh", "-c", "yes; exit 1"}, Timeout: 0.2}})
	local := &client.Local{Dir: t.TempDir()}
	if err := client.Provision(client.Config{Ops: local, Server: client.Server{URL: "https://x"}}, provisioning()); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Ops: local})
	if err != nil {
		t.Fatal(err)
	}
	a.client, a.local = c, local
	if err := a.health(t.Context()); err == nil || len(err.Error()) > 2*maxTail {
		t.Errorf("got %.100v", err)
	}
	var end tail
	for i := range 5000 {
		fmt.Fprintf(&end, "line %d\n", i)
	}
	fmt.Fprint(&end, strings.Repeat("x", maxTail)+"\nthe last")
	if len(end) > maxTail || lastLine(end) != "the last" {
		t.Errorf("keeps %d bytes, last line %q", len(end), lastLine(end))
	}
}

// A large slot takes longer to hash than a watchdog waits.
func TestEachBlockOfASlotIsASignOfLife(t *testing.T) {
	beats := 0
	ops := beating{&client.Local{Dir: t.TempDir()}, func() { beats++ }}
	s, err := ops.OpenSlot(0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.WriteAt([]byte("x"), 0); err != nil || beats != 1 {
		t.Errorf("%d beats, %v", beats, err)
	}
	if _, err := s.ReadAt(make([]byte, 1), 0); err != nil || beats != 2 {
		t.Errorf("%d beats, %v", beats, err)
	}
}

func TestNothingIsProvisionedBesideADaemon(t *testing.T) {
	cfg := Config{Storage: filepath.Join(t.TempDir(), "new", "storage")}
	err := cfg.Exclusive(func() error {
		return cfg.Exclusive(func() error { return errors.New("was called") })
	})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("got %v", err)
	}
	if err := cfg.Exclusive(func() error { return nil }); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// A device whose state is lost is still a device with a watchdog and a program.
func TestRunGoesOnWithALostState(t *testing.T) {
	local := &client.Local{Dir: t.TempDir()}
	if err := client.Provision(client.Config{Ops: local, Server: client.Server{URL: "https://x"}}, provisioning()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state.a", "state.b"} {
		if err := local.WriteFile(name, []byte("torn")); err != nil {
			t.Fatal(err)
		}
	}
	var words bytes.Buffer
	a, err := Open(Config{Server: "https://127.0.0.1:1", Storage: local.Dir}, slog.New(slog.NewTextHandler(&words, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := a.Run(ctx); err != nil || ctx.Err() == nil {
		t.Errorf("run ended with %v\n%s", err, words.String())
	}
}
