package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/gateway"
	"github.com/secure-ota/secure-ota/internal/provision"
	"github.com/secure-ota/secure-ota/internal/testenv"
	"github.com/secure-ota/secure-ota/libota/examples/qemu-cortex-m3/board"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

const deviceID = "mcu-0001"

// images is where TestMain built the example, built says whether that worked.
var (
	images string
	built  error
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "qemu-cortex-m3-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	images = dir
	built = board.Build(context.Background(), "..", dir, "BACKOFF=1")
	return m.Run()
}

// A world is a vendor with a server, a gateway that may lie, and a board.
type world struct {
	*otatest.System
	t     *testing.T
	keys  trust.DeviceKeys
	wire  *middle
	flash string
	line  string
	board *board.Board
	made  api.Release // what it was made with: 1.0.0
}

func needTools(t *testing.T) {
	t.Helper()
	testenv.Tool(t, "make", "make")
	testenv.Tool(t, board.GCC, board.GCCPackage)
	testenv.Tool(t, board.QEMU, board.QEMUPackage)
	if built != nil {
		t.Fatal(built)
	}
}

// newWorld provisions a board with release 1.0.0. It has no power yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	needTools(t)
	w := &world{System: otatest.New(t, otatest.Options{Algorithm: trust.PS256}), t: t}
	dir := t.TempDir()
	w.flash, w.line = filepath.Join(dir, "flash.bin"), filepath.Join(dir, "uart")
	w.made = w.Publish("1.0.0", w.image("1.0.0"))
	w.provision()
	w.connect()
	return w
}

func (w *world) provision() {
	w.t.Helper()
	p := w.Device(deviceID)
	w.keys = w.DeviceKeys(p)
	raw, err := json.Marshal(p)
	w.must(err)
	device, err := provision.New(raw, false)
	w.must(err)
	w.must(device.SetFirmware(w.image("1.0.0"), w.manifest(w.made)))
	layout, err := provision.NewLayout(provision.DefaultFlash, board.FlashArgs[1:])
	w.must(err)
	image, err := device.Image(layout, nil)
	w.must(err)
	w.must(os.WriteFile(w.flash, image, 0o600))
}

// connect puts a gateway at the board's line, and the attacker between it and
// the server.
func (w *world) connect() {
	w.t.Helper()
	w.wire = &middle{upstream: w.PlainURL}
	between := httptest.NewServer(w.wire)
	w.t.Cleanup(between.Close)
	g, err := gateway.New(gateway.Config{Server: client.Server{URL: between.URL}, Lines: []string{"unix:" + w.line}})
	w.must(err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Run(ctx)
	}()
	w.t.Cleanup(func() {
		stop()
		<-ended
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) image(version string) []byte {
	w.t.Helper()
	image, err := os.ReadFile(filepath.Join(images, "app-"+version+".bin"))
	w.must(err)
	return image
}

// manifest reads a release's signed manifest from the server.
func (w *world) manifest(r api.Release) []byte {
	w.t.Helper()
	resp, err := http.Get(w.PlainURL + "/v1/manifest/" + r.ManifestHash.String())
	w.must(err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	w.must(err)
	return raw
}

// powerOn starts the board, until the test ends or the power is cut.
func (w *world) powerOn() {
	w.t.Helper()
	var err error
	w.board, err = board.Start(board.Config{
		Boot: filepath.Join(images, "bootloader.elf"), Flash: w.flash, Line: w.line, Heard: w.heard,
	})
	w.must(err)
	w.t.Cleanup(w.board.Kill)
}

// heard holds what must never be printed against each line.
func (w *world) heard(line string) {
	if testing.Verbose() {
		fmt.Printf("    %-28s %s\n", w.t.Name(), line)
	}
	if strings.Contains(line, "nothing to start") {
		w.t.Errorf("the board does not start: %s", line)
	}
}

// prints waits for the next line that contains text.
func (w *world) prints(text string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	line, err := w.board.WaitFor(ctx, text)
	w.must(err)
	return line
}

// device returns what the server knows of the board.
func (w *world) device() api.Device {
	w.t.Helper()
	d, err := w.Management().Device(w.t.Context(), server.DeviceRef{DeviceType: otatest.DeviceType, ID: deviceID})
	w.must(err)
	return d
}

// reported waits until the server has an authentic report of that event, about
// what runs.
func (w *world) reported(event trust.Event, running api.Release) api.Device {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		d := w.device()
		if d.LastEvent == event.String() && d.Installed.Digest == running.ImageDigest {
			return d
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the server has of the device %#v; want event %s and image %s", d, event, running.ImageDigest)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A middle is an attacker on the wire between gateway and server.
type middle struct {
	upstream string
	mu       sync.Mutex
	attack   attack
	offer    []byte // the last genuine check response
}

// An attack changes an answer, or replaces it.
type attack func(path string, request, answer []byte) []byte

func (m *middle) set(a attack) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attack = a
}

func (m *middle) overheard() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.offer
}

func (m *middle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	req, _ := http.NewRequestWithContext(r.Context(), r.Method, m.upstream+r.URL.RequestURI(), bytes.NewReader(body))
	req.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	m.mu.Lock()
	if r.URL.Path == "/v1/check" {
		m.offer = answer
	}
	if m.attack != nil {
		answer = m.attack(r.URL.Path, body, bytes.Clone(answer))
	}
	m.mu.Unlock()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
	w.WriteHeader(resp.StatusCode)
	w.Write(answer)
}
