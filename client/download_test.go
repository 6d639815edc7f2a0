package client_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

func mustVersion(s string) version.Version {
	v, err := version.Parse(s)
	if err != nil {
		panic(err)
	}
	return v
}

func entry(image []byte) rollback.Entry {
	return rollback.Entry{ImageDigest: sha256.Sum256(image), ImageSize: uint32(len(image))}
}

type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(int)             {}
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// firmwareHook lets f answer requests for an image.
func firmwareHook(f http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/v1/firmware/") {
			return false
		}
		f(w, r)
		return true
	}
}

// imageHook serves other bytes than the signed ones.
func imageHook(image []byte) func(http.ResponseWriter, *http.Request) bool {
	return firmwareHook(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(image)))
		w.Write(image)
	})
}

// broken serves an image over a real connection that breaks off after so many bytes.
func broken(image []byte, after int, requests *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		*requests = append(*requests, r.Header.Get("Range"))
		from := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(image)-1, len(image)))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(image)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(image[from:min(len(image), from+after)])
		if from+after < len(image) {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
}

// overTCP puts a device behind a real connection.
func (d device) overTCP(t *testing.T) client.Config {
	t.Helper()
	srv := httptest.NewServer(d.server)
	t.Cleanup(srv.Close)
	cfg := d.config()
	cfg.Server.URL = srv.URL
	cfg.Ops.(*client.Local).HTTP = srv.Client()
	return cfg
}

func TestDownloadResumesAfterEachBreak(t *testing.T) {
	d := installed(t)
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3))
	var requests []string
	d.server.Hook = firmwareHook(broken(imageV2, 1100, &requests))
	c, err := client.New(d.overTCP(t))
	if err != nil {
		t.Fatal(err)
	}
	c.SetBlocks(512, 1<<20)
	var seen []int64
	c.SetProgressCallback(func(p client.Progress) { seen = append(seen, p.Done) })
	if out, err := c.Update(t.Context()); err != nil || !out.Switched {
		t.Fatalf("switched %v, %v", out.Switched, err)
	}
	if got := fmt.Sprint(requests); got != "[ bytes=1024- bytes=2048- bytes=3072-]" {
		t.Errorf("asked for %s", got)
	}
	if seen[len(seen)-1] != int64(len(imageV2)) {
		t.Errorf("progress %v", seen)
	}
}

func TestDownloadResumesAfterAReset(t *testing.T) {
	d := installed(t)
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3))
	var requests []string
	d.server.Hook = firmwareHook(func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Header.Get("Range"))
		if len(requests) > 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		broken(imageV2, 1600, new([]string))(w, r)
	})
	c, err := client.New(d.overTCP(t))
	if err != nil {
		t.Fatal(err)
	}
	c.SetBlocks(512, 1<<20)
	_, err = c.Update(t.Context())
	wantReason(t, err, reason.Transport)
	if r := d.lastReport(t); r.Event != trust.EventFailed || r.Reason != reason.Transport {
		t.Errorf("reported %s %v", r.Event, r.Reason)
	}
	requests = nil
	d.server.Hook = firmwareHook(broken(imageV2, 1<<20, &requests))
	d.install(t)
	if fmt.Sprint(requests) != "[bytes=1536-]" {
		t.Errorf("asked for %q", requests)
	}
	d.runs(t, imageV2)
}

func TestWhatIsOnDiskIsHashedBeforeItCounts(t *testing.T) {
	d := installed(t)
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3))
	d.server.Hook = firmwareHook(broken(imageV2, 1600, new([]string)))
	c, err := client.New(d.overTCP(t))
	if err != nil {
		t.Fatal(err)
	}
	c.SetBlocks(512, 512)
	d.server.Hook = firmwareHook(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		broken(imageV2, 1600, new([]string))(w, r)
	})
	if _, err := c.Update(t.Context()); err == nil || c.State().Update.Written != 1536 {
		t.Fatalf("%d bytes, %v", c.State().Update.Written, err)
	}
	d.damage(t, 1-c.State().Active)
	var requests []string
	d.server.Hook = firmwareHook(broken(imageV2, 1<<20, &requests))
	d.install(t)
	if fmt.Sprint(requests) != "[bytes=1536- ]" {
		t.Errorf("asked for %q, want the rest and then all", requests)
	}
	d.runs(t, imageV2)
}

// halfway returns a device that has 1536 bytes of imageV2.
func halfway(t *testing.T) device {
	t.Helper()
	d := installed(t)
	d.server.Publish(seq(6), "1.1.0", imageV2, floor(3))
	d.server.Hook = firmwareHook(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		broken(imageV2, 1600, new([]string))(w, r)
	})
	c, err := client.New(d.overTCP(t))
	if err != nil {
		t.Fatal(err)
	}
	c.SetBlocks(512, 512)
	if _, err := c.Update(t.Context()); err == nil {
		t.Fatal("not broken off")
	}
	d.server.Hook = nil
	return d
}

func TestAnswersToARange(t *testing.T) {
	size := len(imageV2)
	whole := func(w http.ResponseWriter, _ *http.Request) { imageHook(imageV2)(w, firmwareRequest) }
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   trust.Reason // 0: the update succeeds
	}{
		"200 with the whole image": {answer: whole},
		"416": {answer: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			whole(w, r)
		}},
		"206 for another range": {answer: ranged(fmt.Sprintf("bytes 1024-%d/%d", size-1, size), imageV2[1024:])},
		"206 of another total":  {answer: ranged(fmt.Sprintf("bytes 1536-%d/%d", size-1, size+1), imageV2[1536:])},
		"206 without a range":   {answer: ranged("", imageV2[1536:])},
		"206 that is too long":  {answer: ranged(fmt.Sprintf("bytes 1536-%d/%d", size-1, size), imageV2[1024:])},
		"200 that is too short": {want: trust.ErrImageDigest, answer: func(w http.ResponseWriter, _ *http.Request) { imageHook(imageV2[1536:])(w, firmwareRequest) }},
		"200 that is too long":  {want: trust.ErrImageDigest, answer: func(w http.ResponseWriter, _ *http.Request) { imageHook(append(imageV2, 'x'))(w, firmwareRequest) }},
		"redirect": {want: reason.Transport, answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.test/", http.StatusFound)
		}},
		"404": {want: reason.Transport, answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }},
	} {
		t.Run(name, func(t *testing.T) {
			d := halfway(t)
			d.server.Hook = firmwareHook(c.answer)
			cl, _ := d.mustBoot(t)
			_, err := cl.Update(t.Context())
			if c.want == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantReason(t, err, c.want)
			d.server.Hook = nil
			d.install(t)
			d.runs(t, imageV2)
		})
	}
}

var firmwareRequest = httptest.NewRequest(http.MethodGet, "/v1/firmware/x", nil)

// ranged answers a range wrongly: the device starts again with the whole image.
func ranged(contentRange string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			imageHook(imageV2)(w, firmwareRequest)
			return
		}
		w.Header().Set("Content-Range", contentRange)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(body)
	}
}

// Level 0: a token, JSON and TLS.
func TestDeviceWithoutAKey(t *testing.T) {
	d := newTokenDevice(t)
	d.server.Publish(seq(1), "1.0.0", imageV1)
	d.install(t)
	d.runs(t, imageV1)
	if got := d.events(); len(got) != 4 || got[3] != trust.EventConfirmed {
		t.Errorf("reported %v", got)
	}
	if len(d.server.Problems()) > 0 {
		t.Error(d.server.Problems())
	}
	c, _ := d.mustBoot(t)
	for name, body := range map[string]string{
		"wrong nonce":      fmt.Sprintf(`{"device":%q,"nonce":1,"server_time":1,"keyset_version":1,"retry_seconds":1,"update":null}`, id),
		"unknown member":   fmt.Sprintf(`{"device":%q,"nonce":1,"server_time":1,"keyset_version":1,"retry_seconds":1,"update":null,"x":1}`, id),
		"duplicate member": fmt.Sprintf(`{"device":%q,"device":%q,"nonce":1,"server_time":1,"keyset_version":1,"retry_seconds":1,"update":null}`, id, id),
		"another device":   `{"device":"dev-2","nonce":1,"server_time":1,"keyset_version":1,"retry_seconds":1,"update":null}`,
		"not JSON":         "<html>",
	} {
		d.server.Hook = answer("/v1/check", "application/json", http.StatusOK, []byte(body))
		if _, err := c.Check(t.Context()); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func newTokenDevice(t *testing.T) device {
	t.Helper()
	d := newDevice(t)
	d.fs = crashfs.New()
	if err := client.Provision(d.config(), d.server.AddTokenDevice(id, "s3cret")); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTokenNeverLeavesWithoutTLS(t *testing.T) {
	d := newTokenDevice(t)
	cfg := d.config()
	cfg.Server.URL = "http://ota.test"
	_, err := client.New(cfg)
	wantReason(t, err, trust.ErrUnauthenticated)
}

func TestInstallNeedsANamedRelease(t *testing.T) {
	d := installed(t)
	c, _ := d.mustBoot(t)
	wantReason(t, c.InstallFirmware(t.Context(), client.Release{}), trust.ErrNotNamed)
	_, err := c.FetchManifest(t.Context(), client.Answer{})
	wantReason(t, err, trust.ErrNotNamed)
}

func TestVerifyFirmwareIntegrity(t *testing.T) {
	d := installed(t)
	c, _ := d.mustBoot(t)
	m := manifest.New(author.Vendor, author.DeviceType, seq(6), mustVersion("1.1.0"))
	if err := m.SetImage(sha256.Sum256(imageV2), int64(len(imageV2))); err != nil {
		t.Fatal(err)
	}
	v, err := c.VerifyFirmwareSignature(author.Sign(m))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.VerifyFirmwareIntegrity(bytes.NewReader(imageV2), v); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]byte{imageV1, imageV2[1:], append([]byte{'x'}, imageV2...), nil} {
		wantReason(t, c.VerifyFirmwareIntegrity(bytes.NewReader(bad), v), trust.ErrImageDigest)
	}
}
