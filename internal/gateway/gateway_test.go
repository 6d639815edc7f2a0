package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

// An app is what a firmware does with a line: it checks, verifies, fetches and
// reports, with its own keys.
type app struct {
	*device
	id    string
	keys  trust.DeviceKeys
	nonce uint64
}

func (a *app) check() trust.CheckResponse {
	a.t.Helper()
	a.nonce++
	r := trust.CheckRequest{Device: a.id, DeviceType: otatest.DeviceType, Nonce: a.nonce, KeysetVersion: 1,
		ImageDigest: sha256.Sum256([]byte("1.0.0"))}
	message, err := r.Seal(a.keys.Up)
	if err != nil {
		a.t.Fatal(err)
	}
	raw := a.must(question{Kind: kindCheck, Message: message, Most: trust.MaxMessage}, statusDone).Data
	response, err := trust.OpenCheckResponse(raw, a.keys.Down, a.id, a.nonce)
	if err != nil {
		a.t.Fatal(err)
	}
	return response
}

func (a *app) report(event trust.Event, m *manifest.Manifest, target manifest.Digest) {
	a.t.Helper()
	a.nonce++
	r := trust.Report{Device: a.id, DeviceType: otatest.DeviceType, Nonce: a.nonce, Event: event, Target: target,
		Sequence: m.Sequence, ImageDigest: m.ImageDigest}
	message, err := r.Seal(a.keys.Up)
	if err != nil {
		a.t.Fatal(err)
	}
	a.must(question{Kind: kindReport, Message: message}, statusDone)
}

// update does what a device does, and returns the image.
func (a *app) update(system *otatest.System, piece uint32) []byte {
	a.t.Helper()
	response := a.check()
	keyset := a.fetch(question{Kind: kindKeyset, Type: otatest.DeviceType, Version: response.KeysetVersion}, piece)
	held, err := trust.OpenHeld(keyset, system.Keys)
	if err != nil {
		a.t.Fatal(err)
	}
	raw := a.fetch(question{Kind: kindManifest, Digest: response.ManifestHash[:]}, piece)
	m, err := held.VerifyManifest(raw, system.Keys)
	if err != nil || m.Hash() != response.ManifestHash {
		a.t.Fatalf("manifest: %v", err)
	}
	id := system.Release.Public().ID()
	if key := a.fetch(question{Kind: kindKey, Digest: id[:]}, piece); sha256.Sum256(key) != id {
		a.t.Fatal("another key")
	}
	image := a.fetch(question{Kind: kindImage, Digest: m.Manifest().ImageDigest[:]}, piece)
	if sha256.Sum256(image) != m.Manifest().ImageDigest {
		a.t.Fatal("another image")
	}
	a.report(trust.EventConfirmed, m.Manifest(), response.ManifestHash)
	return image
}

func firmware(size int) []byte {
	image := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(image)
	return image
}

// newApp adds a device to the system and puts it at a line.
func newApp(t *testing.T, system *otatest.System, id string, port io.ReadWriteCloser) *app {
	return &app{device: newDevice(t, port), id: id, keys: system.DeviceKeys(system.Device(id))}
}

func pinned(system *otatest.System) client.Server {
	return client.Server{URL: system.URL, Fingerprint: system.Fingerprint}
}

func TestADeviceUpdatesThroughTheGateway(t *testing.T) {
	system := otatest.New(t)
	image := firmware(70_001)
	system.Publish("1.1.0", image)
	for name, server := range map[string]client.Server{"tls": pinned(system), "plain": {URL: system.PlainURL}} {
		t.Run(name, func(t *testing.T) {
			g, said := newGateway(t, server)
			a := newApp(t, system, "dev-"+name, connect(t, g, clean))
			a.patience = 5 * time.Second // nothing is lost: a repeat is a defect, not a slow machine
			if got := a.update(system, 512); !bytes.Equal(got, image) {
				t.Fatal("another image")
			}
			d, err := system.Management().Device(t.Context(), fleet.Ref{DeviceType: otatest.DeviceType, ID: a.id})
			if err != nil || d.LastEvent != "confirmed" || d.Offer != nil {
				t.Errorf("the server says %+v, %v", d, err)
			}
			if n := said.count("download"); n != 11 {
				t.Errorf("%d words about the download", n)
			}
			if said.count("failed") != 0 || a.repeats != 0 {
				t.Errorf("%d repeats, %v", a.repeats, said.all)
			}
		})
	}
}

func TestAnUpdateOverANoisyLine(t *testing.T) {
	system := otatest.New(t)
	image := firmware(8_000)
	system.Publish("1.1.0", image)
	g, _ := newGateway(t, pinned(system))
	seed := uint64(0)
	a := newApp(t, system, "dev-1", connect(t, g, func(port io.ReadWriteCloser) io.ReadWriteCloser {
		seed++
		return newNoisyPort(port, seed, 700) // of 700 bytes one is changed, one lost, one doubled, one added
	}))
	a.patience = 20 * time.Millisecond
	if got := a.update(system, 128); !bytes.Equal(got, image) {
		t.Fatal("another image")
	}
	if a.repeats < 10 {
		t.Errorf("only %d repeats: the line is not noisy", a.repeats)
	}
	t.Logf("%d questions, %d repeats", a.number, a.repeats)
}

// run runs the gateway until the test ends.
func run(t *testing.T, g *Gateway) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// The line of an emulator: it goes and comes again, the device goes on.
func TestALostSocketIsDialledAgain(t *testing.T) {
	system := otatest.New(t)
	path := filepath.Join(t.TempDir(), "uart")
	g, said := newGateway(t, pinned(system), "unix:"+path)
	run(t, g)
	said.wait(t, "lost", 1) // nobody is there yet
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	keys := system.DeviceKeys(system.Device("dev-1"))
	nonce := uint64(0)
	for i := range 3 {
		port, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		said.wait(t, "connected", i+1)
		io.WriteString(port, "booted\r\n\x00\x05interrupted")
		a := app{device: newDevice(t, port), id: "dev-1", keys: keys, nonce: nonce}
		a.check()
		nonce = a.nonce
		port.Close()
	}
	if n := said.count("says"); n != 3 {
		t.Errorf("%d lines of text, want 3: %v", n, said.all)
	}
}

func TestLinesThatAreNoneAreRefused(t *testing.T) {
	for _, lines := range [][]string{{}, {""}, {"tcp:localhost"}, {"http://x"}, {"/dev/ttyS0", "/dev/ttyS0"}} {
		if _, err := New(Config{Server: client.Server{URL: "https://localhost"}, Lines: lines}); err == nil {
			t.Errorf("%q is accepted", lines)
		}
	}
	for _, server := range []client.Server{
		{}, {URL: "localhost:8443"}, {URL: "ftp://x"}, {URL: "https://"}, {URL: "https://x/?a"},
		{URL: "https://user:secret@x"}, {URL: "http://x", Fingerprint: strings.Repeat("7", 64)}, {URL: "http://x", CA: []byte("x")},
	} {
		_, err := New(Config{Server: server, Lines: []string{"/dev/ttyS0"}})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("server %+v: %v", server, err)
		}
	}
	if _, err := New(Config{Server: client.Server{URL: "https://x"}, Lines: []string{"/dev/ttyS0"}, Baud: maxBaud + 1}); err == nil {
		t.Error("any speed is accepted")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openTerminal(file, DefaultBaud); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file is opened as a terminal: %v", err)
	}
}
