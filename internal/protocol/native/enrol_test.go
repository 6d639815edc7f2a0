package native_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

func TestAnEnrolledDeviceCanCheck(t *testing.T) {
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("image"))
	body := []byte(fmt.Sprintf(`{"code":%q,"device_type":%q,"device":"gw-17","hardware_revision":"B"}`, s.EnrolmentCode(), otatest.DeviceType))
	got := send(t, s.HTTPClient(), "POST", s.URL+"/v1/enrol", "application/json", body).want(t, 200)
	var p server.Provisioning
	if err := json.Unmarshal(got.body, &p); err != nil {
		t.Fatal(err)
	}
	if p.Vendor != otatest.Vendor || p.Device != "gw-17" || p.Generation != 1 || !bytes.Equal(p.Keyset, s.Keyset) || len(p.Keys) != len(s.Keys) {
		t.Errorf("provisioning %s", got.body)
	}
	if got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", got.header)
	}
	d := &device{T: t, system: s, id: "gw-17", keys: s.DeviceKeys(p)}
	if answer := d.check(d.request()); answer.ManifestHash != release.ManifestHash {
		t.Errorf("answer %+v", answer)
	}
	send(t, s.HTTPClient(), "POST", s.URL+"/v1/enrol", "application/json", body).problem(t, 401, trust.ErrBadMAC)
}

func TestEnrolmentIsSlow(t *testing.T) {
	s := otatest.New(t)
	status := 0
	for range 20 {
		got := send(t, s.HTTPClient(), "POST", s.URL+"/v1/enrol", "application/json", []byte(`{"code":"AAAA-AAAA-AAAA-AAAA","device_type":"sensor_v1"}`))
		if status = got.status; status == 429 {
			return
		}
	}
	t.Errorf("20 guesses in a row: status %d", status)
}

// Without storage checks are answered, with nothing to install; what would
// have to be kept is refused for now.
func TestWithoutStorageADeviceIsToldToComeAgain(t *testing.T) {
	s := otatest.New(t)
	s.Publish("1.0.0", []byte("image"))
	d, code := keyed(t, s, "dev-0001"), s.EnrolmentCode()
	dir := s.Server.Repository().Dir()
	database, blobs := place.Of(t, dir)
	repo, err := repository.Open(t.Context(), repository.Config{Dir: dir, Database: database, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	broken, err := server.New(t.Context(), server.Config{Dir: dir, Repository: repo})
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close(t.Context()) // fails, as the store does
	if err := repo.Store().Close(); err != nil {
		t.Fatal(err)
	}
	plain, secure := httptest.NewServer(broken.Handler()), httptest.NewTLSServer(broken.Handler())
	defer plain.Close()
	defer secure.Close()
	r := d.request()
	got := send(t, plain.Client(), "POST", plain.URL+"/v1/check", "application/cose", d.seal(r)).want(t, 200)
	opened, err := trust.OpenCheckResponse(got.body, d.keys.Down, d.id, r.Nonce)
	if err != nil || !opened.ManifestHash.IsZero() || opened.KeysetVersion != 1 {
		t.Errorf("answer %+v, %v", opened, err)
	}
	report := d.seal(d.report(trust.EventInstalled, 0, r.ImageDigest))
	enrolment := []byte(fmt.Sprintf(`{"code":%q,"device_type":%q}`, code, otatest.DeviceType))
	for what, got := range map[string]answer{
		"report":    send(t, plain.Client(), "POST", plain.URL+"/v1/report", "application/cose", report),
		"enrolment": send(t, secure.Client(), "POST", secure.URL+"/v1/enrol", "application/json", enrolment),
	} {
		if got.problem(t, 503, 0); got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", what)
		}
	}
	// Nothing was spent or taken: the same requests go through elsewhere.
	send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/report", "application/cose", report).want(t, 204)
	send(t, s.HTTPClient(), "POST", s.URL+"/v1/enrol", "application/json", enrolment).want(t, 200)
}

func FuzzMessages(f *testing.F) {
	var clock atomic.Int64 // moves on, so that no rate limit hides what is behind it
	clock.Store(time.Now().Unix())
	s := otatest.New(f, otatest.Options{Config: func(c *server.Config) {
		c.Now = func() time.Time { return time.Unix(clock.Add(1), 0) }
	}})
	s.Publish("1.0.0", []byte("image"))
	keys := s.DeviceKeys(s.Device("dev-0001"))
	check, err := trust.CheckRequest{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 1, KeysetVersion: 1}.Seal(keys.Up)
	if err != nil {
		f.Fatal(err)
	}
	report, err := trust.Report{Device: "dev-0001", DeviceType: otatest.DeviceType, Nonce: 2, Event: trust.EventTrial}.Seal(keys.Up)
	if err != nil {
		f.Fatal(err)
	}
	genuine := map[string]bool{string(check): true, string(report): true}
	f.Add("/v1/check", check)
	f.Add("/v1/report", report)
	f.Add("/v1/check", check[:len(check)-1])
	f.Add("/v1/report", []byte{0xd1, 0x84})
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		if path != "/v1/check" && path != "/v1/report" {
			return
		}
		r := httptest.NewRequest("POST", path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/cose")
		w := httptest.NewRecorder()
		s.Server.Handler().ServeHTTP(w, r)
		switch w.Code {
		case 400, 401, 413:
		case 200, 204:
			if !genuine[string(body)] {
				t.Errorf("a message that no device sent was taken: %x", body)
			}
		default:
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}
