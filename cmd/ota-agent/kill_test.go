package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/agent/testserver"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// A killer kills a process when the server has seen so many events of it:
// requests, and pieces of an image.
type killer struct {
	mu     sync.Mutex
	events int
	at     int           // event at which to kill; 0: never
	delay  time.Duration // after that event
	victim *os.Process
	killed bool
}

func (k *killer) event() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events++
	if k.victim != nil && k.events == k.at {
		time.Sleep(k.delay)
		k.killed = k.victim.Kill() == nil
	}
}

// run runs a process that the killer may kill, and says whether it did.
func (k *killer) run(cmd *exec.Cmd) (killed bool, err error) {
	if err := cmd.Start(); err != nil {
		return false, err
	}
	k.mu.Lock()
	k.victim = cmd.Process
	k.mu.Unlock()
	err = cmd.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.victim = nil
	return k.killed, err
}

// pieceSize is how much of an image is sent between two events.
const pieceSize = 64 << 10

// slowly sends an answer in pieces.
type slowly struct {
	http.ResponseWriter
	event func()
}

func (s slowly) Write(b []byte) (int, error) {
	n := 0
	for len(b) > 0 {
		piece := b[:min(len(b), pieceSize)]
		m, err := s.ResponseWriter.Write(piece)
		n += m
		if err != nil {
			return n, err
		}
		s.ResponseWriter.(http.Flusher).Flush()
		s.event()
		b = b[len(piece):]
	}
	return n, nil
}

// hook makes the server count.
func (k *killer) hook(server *testserver.Server) func(http.ResponseWriter, *http.Request) bool {
	plain := server.Clone() // shares the published bytes
	return func(w http.ResponseWriter, r *http.Request) bool {
		k.event()
		if !strings.HasPrefix(r.URL.Path, "/v1/firmware/") {
			return false
		}
		plain.ServeHTTP(slowly{w, k.event}, r)
		return true
	}
}

// Each kind of step an agent makes, in order; the third confirms.
var steps = [][]string{{"once"}, {"boot", "--print"}, {"once"}, {"once"}}

func TestSIGKILLAtEveryEventOfAnUpdate(t *testing.T) {
	oldImage := append([]byte("old "), bytes.Repeat([]byte("o"), 50_000)...)
	newImage := append([]byte("new "), bytes.Repeat([]byte("n"), 3_500_000)...)
	step := 2
	if os.Getenv("OTA_LONG") != "" {
		step = 1
	}
	whole := &killer{}
	killOnce(t, whole, 0, oldImage, newImage)
	var points atomic.Int32
	// They wait for the disk most of the time, so several at once.
	t.Run("event", func(t *testing.T) {
		for at := 1; at <= whole.events; at += step {
			t.Run(strconv.Itoa(at), func(t *testing.T) {
				t.Parallel()
				if killOnce(t, &killer{}, at, oldImage, newImage) {
					points.Add(1)
				}
			})
		}
	})
	t.Logf("%d kills, each followed by a recovery", points.Load())
	if points.Load() < 50 {
		t.Errorf("only %d kills", points.Load())
	}
}

// killOnce takes a device from the old image to the new one, kills the agent at
// one event, and lets a new one go on. It says whether there was such an event.
func killOnce(t *testing.T, k *killer, at int, oldImage, newImage []byte) bool {
	r := newRig(t)
	defer r.http.Close()
	r.provision(nil)
	r.server.Publish(manifest.NewSequence(1, 1), "1.0.0", oldImage)
	for _, s := range steps[:3] {
		r.must(s...)
	}
	r.server.Publish(manifest.NewSequence(1, 2), "2.0.0", newImage)
	// The delay brings the kill to what follows the event, a write or a sync.
	k.at, k.delay = at, time.Duration(at%4)*700*time.Microsecond
	r.server.SetHook(k.hook(r.server))

	killed := false
	for _, s := range steps {
		var err error
		if killed, err = k.run(r.process(s...)); killed {
			break
		}
		if err != nil {
			t.Fatalf("event %d: %s: %v", at, s, err)
		}
	}
	r.recovers(fmt.Sprintf("killed at event %d", at), oldImage, newImage)
	return killed
}

// recovers boots and goes on until the new image is confirmed.
func (r *rig) recovers(when string, oldImage, newImage []byte) {
	r.t.Helper()
	for range 4 {
		path := strings.TrimSpace(r.must("boot", "--print"))
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, oldImage) && !bytes.Equal(got, newImage) {
			r.t.Fatalf("%s: boots %d bytes, %v: neither old nor new", when, len(got), err)
		}
		r.must("once")
		if r.status().Version == "2.0.0" && r.reported(trust.EventConfirmed, 2) {
			break
		}
	}
	if info := r.status(); info.Version != "2.0.0" || info.ImageDigest != sha256.Sum256(newImage) || !r.reported(trust.EventConfirmed, 2) {
		r.t.Fatalf("%s: a retry does not complete: %+v", when, info)
	}
	for _, p := range r.server.Problems() {
		r.t.Errorf("%s: %s", when, p)
	}
}
