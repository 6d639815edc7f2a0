package native_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// fullDisk lets no file grow until the function that it returns is called: to
// a program that is what a full disk is. It does so to the whole process, which
// for that is one of its own.
func fullDisk(t *testing.T) (free func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
	}
}

const outageChild = "NATIVE_TEST_OUTAGE"

// While nothing can be written, for a quarter of an hour and more, devices that
// have nothing new are answered and images are sent; what would have to be
// kept is refused at once. When the disk has room again, so does the server,
// without a restart.
func TestAFullDiskStopsNoDevice(t *testing.T) {
	if os.Getenv(outageChild) == "" {
		child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), outageChild+"=yes")
		out, err := child.CombinedOutput() // through a pipe, which never is full
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	var ahead atomic.Int64
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}})
	image := bytes.Repeat([]byte("firmware"), 10_000)
	first := s.Publish("1.0.0", image)
	steady, waiting := keyed(t, s, "dev-0001"), keyed(t, s, "dev-0002")
	runs := func(d *device) trust.CheckRequest {
		r := d.request()
		r.Sequence, r.ImageDigest = first.Sequence, first.ImageDigest
		return r
	}
	steady.check(runs(steady))
	waiting.check(waiting.request()) // is offered the image, and will fetch it
	code := s.EnrolmentCode()

	free := fullDisk(t)
	report := waiting.seal(waiting.report(trust.EventInstalled, 0, sha256.Sum256(factory)))
	for minute := range 20 {
		ahead.Store(int64(time.Duration(minute) * time.Minute))
		if answer := steady.check(runs(steady)); !answer.ManifestHash.IsZero() || answer.KeysetVersion != 1 {
			t.Fatalf("minute %d: %+v", minute, answer)
		}
		got := send(t, http.DefaultClient, "GET", s.PlainURL+"/v1/firmware/"+first.ImageDigest.String()+"?device=dev-0002", "", nil).want(t, 200)
		if !bytes.Equal(got.body, image) {
			t.Fatalf("minute %d: another image", minute)
		}
		start := time.Now()
		refused := send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/report", "application/cose", report)
		if refused.problem(t, 503, 0); refused.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("minute %d: refused after %s", minute, took)
		}
	}
	enrolment := []byte(fmt.Sprintf(`{"code":%q,"device_type":%q}`, code, otatest.DeviceType))
	send(t, s.HTTPClient(), "POST", s.URL+"/v1/enrol", "application/json", enrolment).problem(t, 503, 0)
	free()

	send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/report", "application/cose", report).want(t, 204)
	send(t, s.HTTPClient(), "POST", s.URL+"/v1/enrol", "application/json", enrolment).want(t, 200)
	second := s.Publish("1.1.0", []byte("second"))
	if answer := steady.check(runs(steady)); answer.ManifestHash != second.ManifestHash {
		t.Errorf("after the outage: %+v", answer)
	}
}
