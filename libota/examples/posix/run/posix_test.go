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
	"strconv"
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
	"github.com/secure-ota/secure-ota/signing"
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
	out, err := exec.Command("make", "-C", "..", "B="+dir, "BACKOFF=1",
		"EXTRA=-fsanitize=address,undefined -DAGENT_TRIAL_FAILURES=3 -DHTTP_PATIENCE=8").CombinedOutput()
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
	testenv.Tool(t, "make", "make")
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

// runs starts the device, which ends when there is nothing to install.
func (w *world) runs() (out string, err error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	raw, err := exec.CommandContext(ctx, program, w.flash, w.url, "--once").CombinedOutput()
	w.t.Logf("%s", raw)
	return string(raw), err
}

// runsUntil starts the device, which does not end, and kills it when it has
// printed text.
func (w *world) runsUntil(text string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, w.flash, w.url)
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	found := false
	for lines := bufio.NewScanner(out); !found && lines.Scan(); {
		w.t.Log(lines.Text())
		found = strings.Contains(lines.Text(), text)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !found {
		w.t.Fatalf("it did not print %q", text)
	}
}

// known returns what the server knows of the device.
func (w *world) known() api.Device {
	w.t.Helper()
	d, err := w.Management().Device(w.t.Context(), server.DeviceRef{DeviceType: otatest.DeviceType, ID: deviceID})
	w.must(err)
	return d
}

// has holds what the server knows by authentic reports against a release.
func (w *world) has(event trust.Event, running api.Release) {
	w.t.Helper()
	if d := w.known(); d.LastEvent != event.String() || d.Installed.Digest != running.ImageDigest {
		w.t.Errorf("the server has of the device %#v; want event %s and image %s", d, event, running.ImageDigest)
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

	w.runsUntil("131072 of")

	w.wire.set(fault{})
	_, err := w.runs()
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

// More bytes than were signed are the line's fault. Reported as a verdict on the
// release, they would have the server never offer it again.
func TestLongerImageIsNoVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := w.Publish("1.1.0", newImage(2))
	w.wire.set(fault{longer: true})
	out, err := w.runs()
	if err == nil || !strings.Contains(out, "failed, reason 32") {
		t.Errorf("it ended with %v, want the transport to have failed", err)
	}
	w.wire.set(fault{})
	_, err = w.runs()
	w.must(err)
	w.has(trust.EventConfirmed, release)
}

// Who answers every report with "done" does not get a trial confirmed: the
// server has to have answered the new image. It has not, so the device goes back.
func TestTrialThatDoesNotReachTheServerEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Publish("1.1.0", newImage(2))
	w.wire.set(fault{captive: true})
	w.runsUntil("went back, reason 32")
	w.wire.set(fault{})
	// Its reports are lost for good, and the server offers the release again.
	if out, err := w.runs(); err == nil || !strings.Contains(out, "refused, reason 22") {
		t.Errorf("it ended with %v, want it to refuse what it gave up", err)
	}
	if d := w.known(); d.Boot != "reverted" || d.Installed.Digest != w.made.ImageDigest {
		t.Errorf("the server has of the device %#v, want it to have gone back to 1.0.0", d)
	}
}

// The newest keyset is signed by roots that the device has never heard of: it
// goes there by all those between, over more than one check.
func TestDeviceWalksFromKeysetToKeyset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	parsed, err := trust.OpenHeld(w.Keyset, w.Keys)
	w.must(err)
	ks, roots := parsed.Keyset(), w.Roots
	bundle := trust.Bundle{Keys: w.Keys}
	const newest = 8
	for ks.Version < newest {
		next, err := signing.Generate(trust.PS256)
		w.must(err)
		w.Keys[next.Public().ID()] = next.Public()
		ks.Version++
		ks.Roots = []trust.SignerKey{{ID: next.Public().ID(), Algorithm: trust.PS256}}
		ks.RootThreshold = 1
		bundle.Keysets = append(bundle.Keysets, w.SignKeyset(ks, append(roots[:len(roots):len(roots)], next)...))
		roots = []*signing.Key{next}
	}
	_, err = w.Management().AddKeyset(t.Context(), bundle)
	w.must(err)
	w.runsUntil("new keyset")
	_, err = w.runs()
	w.must(err)
	if d := w.known(); d.KeysetVersion != newest {
		t.Errorf("it has keyset %d, want %d", d.KeysetVersion, newest)
	}
}

// A genuine keyset of another device type, by the same roots, in place of the
// right one: that it is refused has to cost the release nothing.
func TestOtherKeysetIsNoVerdictOnTheRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	parsed, err := trust.OpenHeld(w.Keyset, w.Keys)
	w.must(err)
	ks := parsed.Keyset()
	ks.Version = 2
	_, err = w.Management().AddKeyset(t.Context(), trust.Bundle{Keysets: [][]byte{w.SignKeyset(ks, w.Roots...)}, Keys: w.Keys})
	w.must(err)
	release := w.Publish("1.1.0", newImage(2))
	ks.DeviceType = "another_v1"
	w.wire.set(fault{keyset: w.SignKeyset(ks, w.Roots...)})
	out, err := w.runs()
	if err == nil || !strings.Contains(out, "failed, reason 10") {
		t.Errorf("it ended with %v, want a failure for reason 10", err)
	}
	w.wire.set(fault{})
	_, err = w.runs()
	w.must(err)
	w.has(trust.EventConfirmed, release)
}

// A server whose answer never ends is left.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.wire.set(fault{endless: true})
	if out, err := w.runs(); err == nil || !strings.Contains(out, "reason 32") {
		t.Errorf("it ended with %v, want the transport to have failed", err)
	}
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
	offer []byte   // the last genuine check response
}

// A fault is what the wire does to images.
type fault struct {
	tamper  bool   // changes a bit
	longer  bool   // adds bytes
	stopAt  int    // goes silent after so many bytes; 0: does not
	captive bool   // from then on nothing comes through: reports are "done", the last answer is the answer
	keyset  []byte // instead of each keyset
	endless bool   // not to images alone: header follows header, slowly
}

func (w *wire) set(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// asksFor notes a request, and returns what is done to its answer.
func (w *wire) asksFor(r *http.Request) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.HasPrefix(r.URL.Path, "/v1/firmware/") {
		return fault{endless: w.fault.endless, keyset: w.fault.keyset, captive: w.fault.captive && len(w.asked) > 0}
	}
	w.asked = append(w.asked, r.Header.Get("Range"))
	f := w.fault
	f.captive = false
	return f
}

func (w *wire) ranges() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

func (w *wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f := w.asksFor(r)
	switch {
	case f.captive && r.URL.Path == "/v1/report":
		out.WriteHeader(http.StatusNoContent)
		return
	case f.captive:
		w.mu.Lock()
		defer w.mu.Unlock()
		out.Write(w.offer)
		return
	case f.endless:
		goOn(out, r.Context())
		return
	}
	req, _ := http.NewRequestWithContext(r.Context(), r.Method, w.upstream+r.URL.RequestURI(), bytes.NewReader(body))
	req.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if r.URL.Path == "/v1/check" {
		w.mu.Lock()
		w.offer = answer
		w.mu.Unlock()
	}
	if f.keyset != nil && strings.HasPrefix(r.URL.Path, "/v1/keyset/") {
		answer = f.keyset
	}
	if f.tamper {
		answer[len(answer)/2] ^= 1
	}
	if f.longer {
		answer = append(answer, make([]byte, 64)...)
	}
	for name, values := range resp.Header {
		out.Header()[name] = values
	}
	out.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	out.WriteHeader(resp.StatusCode)
	if f.stopAt > 0 && f.stopAt < len(answer) {
		out.Write(answer[:f.stopAt])
		out.(http.Flusher).Flush()
		<-r.Context().Done() // until the device is gone
		return
	}
	out.Write(answer)
}

// goOn sends one header after the other until the device is gone.
func goOn(out http.ResponseWriter, gone context.Context) {
	conn, _, err := out.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	for _, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"); err == nil && gone.Err() == nil; time.Sleep(50 * time.Millisecond) {
		_, err = io.WriteString(conn, "More: to come\r\n")
	}
}
