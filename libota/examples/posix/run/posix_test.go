// Package run_test starts the POSIX example against a real server.
package run_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/provision"
	"github.com/secure-ota/secure-ota/internal/testenv"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

const (
	deviceID  = "posix-0001"
	imageSize = 200_000
	patience  = time.Minute
)

// program is where TestMain built the device, built says whether that worked.
var (
	program string
	built   error
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "posix-device-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "device")
	out, err := exec.Command("make", "-C", "..", "B="+dir, "BACKOFF=1", "EXTRA=-fsanitize=address,undefined").CombinedOutput()
	if err != nil {
		built = fmt.Errorf("%w\n%s", err, out)
	}
	return m.Run()
}

// A world is a server, the wire to it, and a device that was made with 1.0.0.
type world struct {
	*otatest.System
	t     *testing.T
	wire  *wire
	url   string
	flash string
	made  api.Release
}

func newWorld(t *testing.T) *world {
	t.Helper()
	testenv.Tool(t, "gcc", "gcc")
	if built != nil {
		t.Fatal(built)
	}
	w := &world{System: otatest.New(t, otatest.Options{Algorithm: trust.PS256}), t: t}
	w.wire = &wire{upstream: w.PlainURL}
	between := httptest.NewServer(w.wire)
	t.Cleanup(between.Close)
	w.url, w.flash = between.URL, filepath.Join(t.TempDir(), "flash.bin")

	image := newImage(1)
	w.made = w.Publish("1.0.0", image)
	raw, err := json.Marshal(w.Device(deviceID))
	w.must(err)
	device, err := provision.New(raw, false)
	w.must(err)
	w.must(device.SetFirmware(image, w.manifest(w.made)))
	layout, err := provision.NewLayout(provision.DefaultFlash, []string{"firmware=0x10000:0x100000"})
	w.must(err)
	flash, err := device.Image(layout, nil)
	w.must(err)
	w.must(os.WriteFile(w.flash, flash, 0o600))
	return w
}

func newImage(seed uint64) []byte {
	image, random := make([]byte, imageSize), rand.New(rand.NewPCG(seed, seed))
	for i := range image {
		image[i] = byte(random.Uint32())
	}
	return image
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) manifest(r api.Release) []byte {
	w.t.Helper()
	resp, err := http.Get(w.PlainURL + "/v1/manifest/" + r.ManifestHash.String())
	w.must(err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	w.must(err)
	return raw
}

func (w *world) device(ctx context.Context) *exec.Cmd {
	return exec.CommandContext(ctx, program, w.flash, w.url, "--once")
}

// runs starts the device, which ends when there is nothing to install.
func (w *world) runs() (out string, err error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	raw, err := w.device(ctx).CombinedOutput()
	w.t.Logf("%s", raw)
	return string(raw), err
}

// has holds what the server knows by authentic reports against a release.
func (w *world) has(event trust.Event, running api.Release) {
	w.t.Helper()
	d, err := w.Management().Device(w.t.Context(), server.DeviceRef{DeviceType: otatest.DeviceType, ID: deviceID})
	w.must(err)
	if d.LastEvent != event.String() || d.Installed.Digest != running.ImageDigest {
		w.t.Errorf("the server has of the device %+v; want event %s and image %s", d, event, running.ImageDigest)
	}
}

func TestDeviceTakesAnUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := w.Publish("1.1.0", newImage(2))
	out, err := w.runs()
	w.must(err)
	if !strings.Contains(out, deviceID+" runs 1.0.0") || !strings.Contains(out, deviceID+" runs 1.1.0") {
		t.Error("it does not say that it went from 1.0.0 to 1.1.0")
	}
	w.has(trust.EventConfirmed, release)
}

// Killed in the middle of the download, it goes on where the flash says.
func TestKilledDeviceResumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := w.Publish("1.1.0", newImage(2))
	w.wire.set(fault{stopAt: 150_000})

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := w.device(ctx)
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if t.Log(lines.Text()); strings.Contains(lines.Text(), "131072 of") {
			break
		}
	}
	w.must(cmd.Process.Kill())
	_ = cmd.Wait()

	w.wire.set(fault{})
	_, err = w.runs()
	w.must(err)
	if got := w.wire.ranges(); len(got) != 2 || got[0] != "bytes=0-" || got[1] != "bytes=131072-" {
		t.Errorf("it asked for %q, want it to go on at the last mark", got)
	}
	w.has(trust.EventConfirmed, release)
}

func TestTamperedImageIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := w.Publish("1.1.0", newImage(2))
	w.wire.set(fault{tamper: true})
	out, err := w.runs()
	if err == nil || !strings.Contains(out, "refused, reason 21") {
		t.Errorf("it ended with %v, want a refusal for reason 21", err)
	}
	w.has(trust.EventRefused, w.made)

	w.wire.set(fault{})
	_, err = w.runs()
	w.must(err)
	w.has(trust.EventConfirmed, release)
}

// A server that is not there is no reason for a device not to run.
func TestUnreachableServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.url = "http://127.0.0.1:9" // discard: nobody listens
	out, err := w.runs()
	if err == nil || !strings.Contains(out, deviceID+" runs 1.0.0") || !strings.Contains(out, "reason 32") {
		t.Errorf("it ended with %v, want it to run and to say that the transport failed", err)
	}
}

// A wire is what is between device and server.
type wire struct {
	upstream string

	mu    sync.Mutex
	fault fault
	asked []string // Range headers for images
}

// A fault is what the wire does to images.
type fault struct {
	tamper bool // changes a bit
	stopAt int  // goes silent after so many bytes; 0: does not
}

func (w *wire) set(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// asksFor notes a request for an image, and returns what is done to it.
func (w *wire) asksFor(r *http.Request) fault {
	if !strings.HasPrefix(r.URL.Path, "/v1/firmware/") {
		return fault{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, r.Header.Get("Range"))
	return w.fault
}

func (w *wire) ranges() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

func (w *wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	req, _ := http.NewRequestWithContext(r.Context(), r.Method, w.upstream+r.URL.RequestURI(), bytes.NewReader(body))
	req.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	f := w.asksFor(r)
	if f.tamper {
		answer[len(answer)/2] ^= 1
	}
	for name, values := range resp.Header {
		out.Header()[name] = values
	}
	out.WriteHeader(resp.StatusCode)
	if f.stopAt > 0 && f.stopAt < len(answer) {
		out.Write(answer[:f.stopAt])
		out.(http.Flusher).Flush()
		<-r.Context().Done() // until the device is gone
		return
	}
	out.Write(answer)
}
