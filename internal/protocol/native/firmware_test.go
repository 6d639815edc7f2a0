package native_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
)

func randomImage(n int) []byte {
	image := make([]byte, n)
	rand.Read(image)
	return image
}

func TestTheFirmwareStreamServesExactlyTheRangeAsked(t *testing.T) {
	s := otatest.New(t)
	image := randomImage(200_000)
	s.Publish("1.0.0", image)
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(image))
	url := s.PlainURL + "/v1/firmware/" + strings.Trim(etag, `"`)
	for _, c := range []struct {
		name    string
		headers []string
		status  int
		from    int // of the bytes expected
		to      int // one past the last
	}{
		{"whole", nil, 200, 0, 200_000},
		{"first byte", []string{"Range", "bytes=0-0"}, 206, 0, 1},
		{"middle", []string{"Range", "bytes=100-199"}, 206, 100, 200},
		{"over several chunks", []string{"Range", "bytes=1000-190000"}, 206, 1000, 190_001},
		{"to the end", []string{"Range", "bytes=199999-"}, 206, 199_999, 200_000},
		{"past the end", []string{"Range", "bytes=199990-999999999999999999999999"}, 206, 199_990, 200_000},
		{"last bytes", []string{"Range", "bytes=-10"}, 206, 199_990, 200_000},
		{"more last bytes than there are", []string{"Range", "bytes=-300000"}, 206, 0, 200_000},
		{"upper case unit", []string{"Range", "Bytes=5-9"}, 206, 5, 10},
		{"another unit", []string{"Range", "lines=1-2"}, 200, 0, 200_000},
		{"not a range at all", []string{"Range", "nonsense"}, 200, 0, 200_000},
		{"starts at the end", []string{"Range", "bytes=200000-"}, 416, 0, 0},
		{"starts far past the end", []string{"Range", "bytes=99999999999999999999-"}, 416, 0, 0},
		{"no last bytes", []string{"Range", "bytes=-0"}, 416, 0, 0},
		{"backwards", []string{"Range", "bytes=9-5"}, 416, 0, 0},
		{"several", []string{"Range", "bytes=0-1,5-6"}, 416, 0, 0},
		{"two headers", []string{"Range", "bytes=0-1", "Range", "bytes=5-6"}, 416, 0, 0},
		{"signs", []string{"Range", "bytes=+1-+5"}, 416, 0, 0},
		{"no numbers", []string{"Range", "bytes=-"}, 416, 0, 0},
		{"If-Range matches", []string{"Range", "bytes=1-2", "If-Range", etag}, 206, 1, 3},
		{"If-Range is weak", []string{"Range", "bytes=1-2", "If-Range", "W/" + etag}, 200, 0, 200_000},
		{"If-Range is of another image", []string{"Range", "bytes=1-2", "If-Range", `"0"`}, 200, 0, 200_000},
		{"If-Range is empty", []string{"Range", "bytes=1-2", "If-Range", ""}, 200, 0, 200_000},
		{"If-Range is a date", []string{"Range", "bytes=1-2", "If-Range", "Wed, 21 Oct 2015 07:28:00 GMT"}, 200, 0, 200_000},
		{"If-Range of another image, several ranges", []string{"Range", "bytes=0-1,3-4", "If-Range", `"0"`}, 200, 0, 200_000},
		{"If-None-Match", []string{"If-None-Match", etag}, 304, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := send(t, http.DefaultClient, "GET", url, "", nil, c.headers...)
			if c.status == 416 {
				if got.problem(t, 416, 0); got.header.Get("Content-Range") != "bytes */200000" {
					t.Errorf("Content-Range %q", got.header.Get("Content-Range"))
				}
				return
			}
			got.want(t, c.status)
			if !bytes.Equal(got.body, image[c.from:c.to]) {
				t.Errorf("got %d bytes, want those from %d to %d", len(got.body), c.from, c.to)
			}
			if got.header.Get("ETag") != etag || got.header.Get("Accept-Ranges") != "bytes" {
				t.Errorf("headers %v", got.header)
			}
			if want := fmt.Sprintf("bytes %d-%d/200000", c.from, c.to-1); c.status == 206 && got.header.Get("Content-Range") != want {
				t.Errorf("Content-Range %q, want %q", got.header.Get("Content-Range"), want)
			}
			head := send(t, http.DefaultClient, "HEAD", url, "", nil, c.headers...).want(t, c.status)
			if c.status != 304 && (len(head.body) != 0 || head.header.Get("Content-Length") != fmt.Sprint(c.to-c.from)) {
				t.Errorf("HEAD: %d bytes, headers %v", len(head.body), head.header)
			}
		})
	}
	t.Run("over TLS and HTTP/2", func(t *testing.T) {
		client := s.HTTPClient()
		client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
		got := send(t, client, "GET", strings.Replace(url, s.PlainURL, s.URL, 1), "", nil).want(t, 200)
		if !bytes.Equal(got.body, image) {
			t.Error("another image")
		}
	})
}

func TestHTTP10Works(t *testing.T) {
	s := otatest.New(t)
	image := randomImage(100_000)
	release := s.Publish("1.0.0", image)
	conn := dial(t, s)
	fmt.Fprintf(conn, "GET /v1/firmware/%s HTTP/1.0\r\nRange: bytes=10-\r\n\r\n", release.ImageDigest)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 206 || resp.ContentLength != int64(len(image)-10) || !bytes.Equal(got, image[10:]) {
		t.Errorf("status %d, %d bytes, %v", resp.StatusCode, len(got), err)
	}
}

func dial(t *testing.T, s *otatest.System) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.PlainURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func TestWhatIsOnlyUploadedIsNotServed(t *testing.T) {
	s := otatest.New(t)
	image := randomImage(1000)
	digest := sha256.Sum256(image)
	if err := s.Remote().Upload(t.Context(), digest, 1000, bytes.NewReader(image), nil); err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("%s/v1/firmware/%x", s.PlainURL, digest)
	send(t, http.DefaultClient, "GET", url, "", nil).problem(t, 404, 0)
	s.Publish("1.0.0", image)
	send(t, http.DefaultClient, "GET", url, "", nil).want(t, 200)
}

func TestAWithdrawnReleaseIsStillServedAndNoLongerOffered(t *testing.T) {
	s := otatest.New(t)
	image := randomImage(1000)
	release := s.Publish("1.0.0", image)
	d := keyed(t, s, "dev-0001")
	if d.check(d.request()).ManifestHash.IsZero() {
		t.Fatal("not offered")
	}
	if err := s.Management().WithdrawRelease(t.Context(), release.Identity, "bricks"); err != nil {
		t.Fatal(err)
	}
	if !d.check(d.request()).ManifestHash.IsZero() {
		t.Error("offered after it was withdrawn")
	}
	send(t, http.DefaultClient, "GET", s.PlainURL+"/v1/manifest/"+release.ManifestHash.String(), "", nil).want(t, 200)
	send(t, http.DefaultClient, "GET", s.PlainURL+"/v1/firmware/"+release.ImageDigest.String(), "", nil).want(t, 200)
}

func TestTheStartOfADownloadIsRecordedOncePerOffer(t *testing.T) {
	s := otatest.New(t)
	image := randomImage(1000)
	release := s.Publish("1.0.0", image)
	d := keyed(t, s, "dev-0001")
	url := s.PlainURL + "/v1/firmware/" + release.ImageDigest.String() + "?device="
	downloads := func() int {
		t.Helper()
		records, err := s.Management().AuditRecords(t.Context(), audit.Filter{Action: "device.download"})
		if err != nil {
			t.Fatal(err)
		}
		return len(records)
	}
	send(t, http.DefaultClient, "GET", url+"dev-0001", "", nil).want(t, 200)
	if downloads() != 0 {
		t.Error("recorded without an offer")
	}
	d.check(d.request())
	send(t, http.DefaultClient, "HEAD", url+"dev-0001", "", nil).want(t, 200)
	send(t, http.DefaultClient, "GET", url+"dev-0002", "", nil).want(t, 200)
	send(t, http.DefaultClient, "GET", url+strings.Repeat("x", 1000), "", nil).want(t, 200)
	if downloads() != 0 {
		t.Error("recorded for a HEAD, or for a device without an offer")
	}
	send(t, http.DefaultClient, "GET", url+"dev-0001", "", nil, "Range", "bytes=0-9").want(t, 206)
	send(t, http.DefaultClient, "GET", url+"dev-0001", "", nil).want(t, 200)
	if got := downloads(); got != 1 {
		t.Errorf("recorded %d times", got)
	}
}

func TestASlowReaderIsCutAndASteadyOneIsNot(t *testing.T) {
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) { c.Stall = time.Second }})
	image := randomImage(32 << 20) // more than the buffers of the connection hold
	release := s.Publish("1.0.0", image)
	open := func(t *testing.T, base string) *http.Response {
		resp, err := s.HTTPClient().Get(base + "/v1/firmware/" + release.ImageDigest.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	for name, base := range map[string]string{"plain": s.PlainURL, "TLS": s.URL} {
		t.Run("stalled, "+name, func(t *testing.T) {
			t.Parallel()
			resp := open(t, base)
			time.Sleep(3 * time.Second) // reads nothing
			if n, err := io.Copy(io.Discard, resp.Body); err == nil || n >= int64(len(image)) {
				t.Errorf("got the whole image: %d bytes, %v", n, err)
			}
		})
		t.Run("steady, "+name, func(t *testing.T) {
			t.Parallel()
			resp, h := open(t, base), sha256.New()
			buf := make([]byte, 2<<20)
			for { // for longer than the stall, never stopping for so long
				n, err := io.ReadFull(resp.Body, buf)
				h.Write(buf[:n])
				if err != nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if !bytes.Equal(h.Sum(nil), release.ImageDigest[:]) {
				t.Error("a reader that made progress was cut")
			}
		})
	}
}
