package client_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/agent/slot"
	"github.com/secure-ota/secure-ota/internal/agent/testserver"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

const id = "dev-1"

var (
	author  = testserver.NewAuthor("acme", "sensor_v1")
	imageV1 = testImage('1', 2900)
	imageV2 = testImage('2', 3300)
)

// testImage is recognisable in every sector.
func testImage(fill byte, size int) []byte { return bytes.Repeat([]byte{fill}, size) }

func seq(n uint32) manifest.Sequence { return manifest.NewSequence(1, n) }

// A device is the computer in which a client runs: a file system that may lose
// power, and a server.
type device struct {
	fs     fsatomic.FS
	server *testserver.Server
	slots  [2]slot.Place
}

func (d device) config() client.Config {
	return client.Config{
		Server: client.Server{URL: "https://ota.test"},
		Ops:    &client.Local{Dir: "/ota", HTTP: d.server.HTTP(), FS: d.fs, Slots: d.slots},
	}
}

// open starts the client without booting.
func (d device) open() (*client.Client, error) {
	c, err := client.New(d.config())
	if err == nil {
		c.SetBlocks(512, 1024)
	}
	return c, err
}

// boot is what happens at power on: the boot stage, then the client.
func (d device) boot() (*client.Client, client.Image, error) {
	c, err := d.open()
	if err != nil {
		return nil, client.Image{}, err
	}
	image, err := c.Boot(context.Background())
	return c, image, err
}

// content reads what a slot holds of its image.
func (d device) content(image client.Image) ([]byte, error) {
	s, err := d.config().Ops.OpenSlot(image.Slot, false)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return io.ReadAll(io.NewSectionReader(s, 0, int64(image.Entry.ImageSize)))
}

// newDevice returns a provisioned device with a key and its server.
func newDevice(t testing.TB) device {
	t.Helper()
	d := device{fs: crashfs.New(), server: testserver.New(author)}
	if err := client.Provision(d.config(), d.server.AddDevice(id, 1)); err != nil {
		t.Fatal(err)
	}
	return d
}

// mustBoot boots and fails the test otherwise.
func (d device) mustBoot(t testing.TB) (*client.Client, client.Image) {
	t.Helper()
	c, image, err := d.boot()
	if err != nil {
		t.Fatal(err)
	}
	return c, image
}

// install takes the offered update and confirms it.
func (d device) install(t testing.TB) *client.Client {
	t.Helper()
	c, _ := d.mustBoot(t)
	out, err := c.Update(t.Context())
	if err != nil || !out.Switched {
		t.Fatalf("update: switched %v, %v", out.Switched, err)
	}
	c, image := d.mustBoot(t)
	if !image.Trial {
		t.Fatal("the new image is not on trial")
	}
	if err := c.ConfirmFirmware(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// runs fails unless the device boots that image.
func (d device) runs(t testing.TB, want []byte) {
	t.Helper()
	_, image := d.mustBoot(t)
	got, err := d.content(image)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("runs %.8q of %d bytes, %v; want %.8q", got, len(got), err, want)
	}
}

// events lists what was reported.
func (d device) events() (list []trust.Event) {
	for _, r := range d.server.Reports(id) {
		list = append(list, r.Event)
	}
	return list
}

// lastReport returns the last one, for its reason.
func (d device) lastReport(t testing.TB) trust.Report {
	t.Helper()
	all := d.server.Reports(id)
	if len(all) == 0 {
		t.Fatal("nothing was reported")
	}
	return all[len(all)-1]
}

// wantReason fails unless err is a refusal for that reason.
func wantReason(t testing.TB, err error, want trust.Reason) {
	t.Helper()
	if !errors.Is(err, want) || trust.ReasonOf(err) != want {
		t.Fatalf("got %v (reason %d), want reason %d: %v", err, trust.ReasonOf(err), want, want)
	}
}

// answer makes a hook that answers one path.
func answer(path, contentType string, status int, body []byte) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		w.Write(body)
		return true
	}
}

// certPEM returns the certificate of a test server.
func certPEM(srv *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
}
