package native_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// factory is the image on devices that have installed nothing.
var factory = []byte("factory firmware")

// A device speaks for a device of a system.
type device struct {
	*testing.T
	system *otatest.System
	id     string
	keys   trust.DeviceKeys
	token  string
	nonce  uint64
	https  *http.Client
}

func keyed(t *testing.T, s *otatest.System, id string) *device {
	return &device{T: t, system: s, id: id, keys: s.DeviceKeys(s.Device(id)), https: s.HTTPClient()}
}

func tokened(t *testing.T, s *otatest.System, id string) *device {
	return &device{T: t, system: s, id: id, token: s.TokenDevice(id).Token, https: s.HTTPClient()}
}

func (d *device) request() trust.CheckRequest {
	d.nonce++
	return trust.CheckRequest{
		Device: d.id, DeviceType: otatest.DeviceType, Nonce: d.nonce, ImageDigest: sha256.Sum256(factory), KeysetVersion: 1,
	}
}

func (d *device) report(event trust.Event, seq manifest.Sequence, image manifest.Digest) trust.Report {
	d.nonce++
	return trust.Report{Device: d.id, DeviceType: otatest.DeviceType, Nonce: d.nonce, Event: event, Sequence: seq, ImageDigest: image}
}

func (d *device) seal(m interface {
	Seal(trust.DeviceKey) ([]byte, error)
}) []byte {
	d.Helper()
	raw, err := m.Seal(d.keys.Up)
	if err != nil {
		d.Fatal(err)
	}
	return raw
}

// check does a whole check of a keyed device over the plain listener.
func (d *device) check(r trust.CheckRequest) trust.CheckResponse {
	d.Helper()
	got := send(d.T, http.DefaultClient, "POST", d.system.PlainURL+"/v1/check", "application/cose", d.seal(r))
	got.want(d.T, http.StatusOK)
	answer, err := trust.OpenCheckResponse(got.body, d.keys.Down, d.id, r.Nonce)
	if err != nil {
		d.Fatal(err)
	}
	return answer
}

func (d *device) send(r trust.Report) answer {
	d.Helper()
	return send(d.T, http.DefaultClient, "POST", d.system.PlainURL+"/v1/report", "application/cose", d.seal(r))
}

func (d *device) json(path, body string) answer {
	d.Helper()
	return send(d.T, d.https, "POST", d.system.URL+path, "application/json", []byte(body), "Authorization", "Bearer "+d.token)
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// problem is an error answer with the form that the specification gives it.
func (a answer) problem(t *testing.T, status int, reason trust.Reason) answer {
	t.Helper()
	a.want(t, status)
	var p protocol.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || p.Error == "" || p.RequestID == "" {
		t.Fatalf("error body %q: %v", a.body, err)
	}
	if p.Reason != reason {
		t.Errorf("reason %d, want %d: %s", p.Reason, reason, a.body)
	}
	return a
}

func send(t *testing.T, client *http.Client, method, url, contentType string, body []byte, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if method != http.MethodHead && resp.ContentLength < 0 && resp.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s: no Content-Length", method, url)
	}
	return answer{resp.StatusCode, resp.Header, raw}
}

func TestACheckIsAnsweredUnderTheDownKeyOfTheDevice(t *testing.T) {
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("image"))
	d := keyed(t, s, "dev-0001")
	r := d.request()
	answer := d.check(r)
	if answer.ManifestHash != release.ManifestHash || answer.KeysetVersion != 1 || answer.RetrySeconds != 1 || answer.ServerTime == 0 {
		t.Errorf("answer %+v", answer)
	}
	raw := send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/check", "application/cose", d.seal(d.request())).want(t, 200).body
	if _, err := trust.OpenCheckResponse(raw, d.keys.Up, d.id, d.nonce); trust.ReasonOf(err) != trust.ErrBadMAC {
		t.Errorf("opened under the up key: %v", err)
	}
}

func TestWhoeverDoesNotAuthenticateLearnsNothing(t *testing.T) {
	s := otatest.New(t)
	d, other, revoked := keyed(t, s, "dev-0001"), keyed(t, s, "dev-0002"), keyed(t, s, "dev-0003")
	if err := s.Management().RevokeDevice(t.Context(), server.DeviceRef{DeviceType: otatest.DeviceType, ID: "dev-0003"}, "stolen"); err != nil {
		t.Fatal(err)
	}
	tok := tokened(t, s, "dev-0004")
	sealed := func(r trust.CheckRequest, key trust.DeviceKey) []byte {
		raw, err := r.Seal(key)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	unknown := d.request()
	unknown.Device = "dev-9999"
	otherType := d.request()
	otherType.DeviceType = "sensor_v2"
	forged := sealed(d.request(), d.keys.Up)
	forged[len(forged)-1] ^= 1
	var bodies []string
	for name, raw := range map[string][]byte{
		"unknown device":    sealed(unknown, d.keys.Up),
		"unknown type":      sealed(otherType, d.keys.Up),
		"another's key":     sealed(d.request(), other.keys.Up),
		"the down key":      sealed(d.request(), d.keys.Down),
		"revoked":           sealed(revoked.request(), revoked.keys.Up),
		"changed MAC":       forged,
		"token device, MAC": sealed(tok.request(), d.keys.Up),
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/check", "application/cose", raw).problem(t, 401, trust.ErrBadMAC)
			bodies = append(bodies, string(got.body[:bytes.Index(got.body, []byte("request_id"))]))
		})
	}
	for name, token := range map[string]string{"wrong": "ota_dev_wrong", "none": "", "another device's": tokened(t, s, "dev-0005").token} {
		t.Run(name+" token", func(t *testing.T) {
			tok.token = token
			got := tok.json("/v1/check", checkJSON("dev-0004", 1)).problem(t, 401, trust.ErrBadMAC)
			bodies = append(bodies, string(got.body[:bytes.Index(got.body, []byte("request_id"))]))
		})
	}
	for _, b := range bodies {
		if b != bodies[0] {
			t.Errorf("answers differ: %s and %s", bodies[0], b)
		}
	}
}

func checkJSON(id string, nonce int) string {
	return fmt.Sprintf(`{"device":%q,"device_type":%q,"nonce":%d,"sequence":"0.0","image_digest":"%x","keyset_version":1,"boot":"confirmed"}`,
		id, otatest.DeviceType, nonce, sha256.Sum256(factory))
}

func TestReflectedMessagesAreNotAnswered(t *testing.T) {
	s := otatest.New(t)
	d := keyed(t, s, "dev-0001")
	response := send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/check", "application/cose", d.seal(d.request())).want(t, 200).body
	request := d.seal(d.request())
	report := d.seal(d.report(trust.EventInstalled, 0, sha256.Sum256(factory)))
	for name, c := range map[string]struct {
		path string
		body []byte
	}{
		"a response as a check":  {"/v1/check", response},
		"a response as a report": {"/v1/report", response},
		"a check as a report":    {"/v1/report", request},
		"a report as a check":    {"/v1/check", report},
	} {
		t.Run(name, func(t *testing.T) {
			send(t, http.DefaultClient, "POST", s.PlainURL+c.path, "application/cose", c.body).problem(t, 400, trust.ErrWrongKind)
		})
	}
}

func TestAReportIsTakenOnce(t *testing.T) {
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("image"))
	d := keyed(t, s, "dev-0001")
	d.check(d.request())
	confirmed := d.seal(d.report(trust.EventConfirmed, release.Sequence, release.ImageDigest))
	reverted := d.report(trust.EventReverted, 0, sha256.Sum256(factory))
	reverted.Target = release.ManifestHash
	for _, raw := range [][]byte{confirmed, d.seal(reverted), confirmed, confirmed} {
		send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/report", "application/cose", raw).want(t, 204)
	}
	got, err := s.Management().Device(t.Context(), server.DeviceRef{DeviceType: otatest.DeviceType, ID: d.id})
	if err != nil {
		t.Fatal(err)
	}
	if got.LastEvent != "reverted" || len(got.Rejected) != 1 {
		t.Errorf("a replayed confirmation changed the device: %+v", got)
	}
	if answer := d.check(d.request()); !answer.ManifestHash.IsZero() {
		t.Error("a reverted release was offered again")
	}
}

func TestAKeyedDeviceIsRefusedOnJSON(t *testing.T) {
	s := otatest.New(t)
	d := keyed(t, s, "dev-0001")
	d.token = "ota_dev_anything"
	d.json("/v1/check", checkJSON("dev-0001", 1)).problem(t, 403, trust.ErrUnauthenticated)
	d.json("/v1/report", fmt.Sprintf(`{"device":"dev-0001","device_type":%q,"nonce":1,"event":"confirmed","sequence":"1.1","image_digest":"%x"}`,
		otatest.DeviceType, sha256.Sum256(factory))).problem(t, 403, trust.ErrUnauthenticated)
}

func TestADeviceWithATokenUpdatesOverJSON(t *testing.T) {
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("image"))
	d := tokened(t, s, "dev-0001")
	got := d.json("/v1/check", checkJSON("dev-0001", 1)).want(t, 200)
	var answer struct {
		Device string `json:"device"`
		Nonce  uint64 `json:"nonce"`
		Update *struct {
			Manifest manifest.Digest `json:"manifest"`
			Size     int             `json:"size"`
		} `json:"update"`
	}
	if err := json.Unmarshal(got.body, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Device != "dev-0001" || answer.Nonce != 1 || answer.Update == nil || answer.Update.Manifest != release.ManifestHash {
		t.Fatalf("answer %s", got.body)
	}
	d.json("/v1/report", fmt.Sprintf(`{"device":"dev-0001","device_type":%q,"nonce":2,"event":"confirmed","sequence":%q,"image_digest":%q,"target":%q,"reason":0,"detail":""}`,
		otatest.DeviceType, release.Sequence, release.ImageDigest, release.ManifestHash)).want(t, 204)
	again := strings.Replace(checkJSON("dev-0001", 3), `"0.0"`, `"1.1"`, 1)
	again = strings.Replace(again, fmt.Sprintf("%x", sha256.Sum256(factory)), release.ImageDigest.String(), 1)
	if got := d.json("/v1/check", again).want(t, 200); !strings.Contains(string(got.body), `"update":null`) {
		t.Errorf("answer %s", got.body)
	}
}

func TestJSONIsReadStrictly(t *testing.T) {
	s := otatest.New(t)
	d := tokened(t, s, "dev-0001")
	good := checkJSON("dev-0001", 1)
	for name, body := range map[string]string{
		"duplicate":       strings.Replace(good, `{`, `{"device":"dev-0001",`, 1),
		"case variant":    strings.Replace(good, `"nonce"`, `"Nonce"`, 1),
		"both cases":      strings.Replace(good, `{`, `{"DEVICE":"dev-0002",`, 1),
		"unknown":         strings.Replace(good, `{`, `{"extra":1,`, 1),
		"trailing":        good + "{}",
		"trailing word":   good + "x",
		"missing nonce":   strings.Replace(good, `"nonce":1,`, "", 1),
		"null nonce":      strings.Replace(good, `"nonce":1`, `"nonce":null`, 1),
		"negative nonce":  strings.Replace(good, `"nonce":1`, `"nonce":-1`, 1),
		"fraction":        strings.Replace(good, `"nonce":1`, `"nonce":1.5`, 1),
		"text for number": strings.Replace(good, `"nonce":1`, `"nonce":"1"`, 1),
		"huge number":     strings.Replace(good, `"nonce":1`, `"nonce":99999999999999999999`, 1),
		"boot":            strings.Replace(good, `"confirmed"`, `"Confirmed"`, 1),
		"digest case":     strings.ToUpper(good),
		"short digest":    strings.Replace(good, `"image_digest":"`, `"image_digest":"00`, 1),
		"bad id":          strings.Replace(good, `"dev-0001"`, `"../etc"`, 1),
		"deep":            strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
		"deep member":     strings.Replace(good, `"nonce":1`, `"nonce":`+strings.Repeat(`{"a":`, 500)+"1"+strings.Repeat("}", 500), 1),
		"array":           "[" + good + "]",
		"invalid UTF-8":   strings.Replace(good, "dev-0001", "dev\xff", 1),
		"byte order mark": "\ufeff" + good,
		"empty":           "",
		"only a token":    "null",
	} {
		t.Run(name, func(t *testing.T) {
			if got := d.json("/v1/check", body); got.status != 400 {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
	d.json("/v1/check", good).want(t, 200)
	d.json("/v1/check", good+strings.Repeat(" ", 4096)).problem(t, 413, trust.ErrTooLarge)
}

func TestStatusCodes(t *testing.T) {
	s := otatest.New(t)
	release := s.Publish("1.0.0", []byte("image"))
	d := keyed(t, s, "dev-0001")
	zero := manifest.Digest{}.String()
	plain, https := http.DefaultClient, s.HTTPClient()
	check := d.seal(d.request())
	for _, c := range []struct {
		name, method, url, contentType string
		client                         *http.Client
		body                           []byte
		status                         int
		reason                         trust.Reason
	}{
		{"malformed", "POST", s.PlainURL + "/v1/check", "application/cose", plain, []byte("nonsense"), 400, trust.ErrMalformed},
		{"empty", "POST", s.PlainURL + "/v1/report", "application/cose", plain, nil, 400, trust.ErrMalformed},
		{"JSON without TLS", "POST", s.PlainURL + "/v1/check", "application/json", plain, []byte(checkJSON("dev-0001", 1)), 403, 0},
		{"JSON report without TLS", "POST", s.PlainURL + "/v1/report", "application/json", plain, []byte(`{}`), 403, 0},
		{"enrolment without TLS", "POST", s.PlainURL + "/v1/enrol", "application/json", plain, []byte(`{}`), 403, 0},
		{"management without TLS", "GET", s.PlainURL + "/api/v1/info", "", plain, nil, 403, 0},
		{"no manifest", "GET", s.PlainURL + "/v1/manifest/" + zero, "", plain, nil, 404, 0},
		{"no such path", "GET", s.PlainURL + "/v1/nothing", "", plain, nil, 404, 0},
		{"untidy path", "GET", s.PlainURL + "/v1//manifest/" + zero, "", plain, nil, 404, 0},
		{"path that climbs", "GET", s.PlainURL + "/v1/x/../manifest/" + zero, "", plain, nil, 404, 0},
		{"upper case hash", "GET", s.PlainURL + "/v1/manifest/" + strings.ToUpper(release.ManifestHash.String()), "", plain, nil, 404, 0},
		{"no firmware", "GET", s.PlainURL + "/v1/firmware/" + zero, "", plain, nil, 404, 0},
		{"no keyset", "GET", s.PlainURL + "/v1/keyset/sensor_v1/2", "", plain, nil, 404, 0},
		{"keyset 01", "GET", s.PlainURL + "/v1/keyset/sensor_v1/01", "", plain, nil, 404, 0},
		{"keyset of no type", "GET", s.PlainURL + "/v1/keyset/nothing/latest", "", plain, nil, 404, 0},
		{"no key", "GET", s.PlainURL + "/v1/key/" + zero, "", plain, nil, 404, 0},
		{"no document", "GET", s.PlainURL + "/v1/release/" + zero, "", plain, nil, 404, 0},
		{"GET check", "GET", s.PlainURL + "/v1/check", "", plain, nil, 405, 0},
		{"POST manifest", "POST", s.PlainURL + "/v1/manifest/" + zero, "", plain, nil, 405, 0},
		{"too large", "POST", s.PlainURL + "/v1/check", "application/cose", plain, make([]byte, 4097), 413, trust.ErrTooLarge},
		{"message too large", "POST", s.PlainURL + "/v1/check", "application/cose", plain, append([]byte{0xd1}, make([]byte, 1024)...), 413, trust.ErrTooLarge},
		{"no type", "POST", s.PlainURL + "/v1/check", "", plain, check, 415, 0},
		{"another type", "POST", s.PlainURL + "/v1/check", "text/plain", plain, check, 415, 0},
		{"enrolment of another type", "POST", s.URL + "/v1/enrol", "application/cose", https, nil, 415, 0},
		{"wrong code", "POST", s.URL + "/v1/enrol", "application/json", https,
			[]byte(`{"code":"AAAA-AAAA-AAAA-AAAA","device_type":"sensor_v1","device":"x"}`), 401, trust.ErrBadMAC},
	} {
		t.Run(c.name, func(t *testing.T) {
			send(t, c.client, c.method, c.url, c.contentType, c.body).problem(t, c.status, c.reason)
		})
	}
	t.Run("parameters of a type", func(t *testing.T) {
		send(t, plain, "POST", s.PlainURL+"/v1/check", `Application/COSE; cose-type="cose-mac0"`, check).want(t, 200)
	})
}

func TestADeviceThatAsksTooOftenIsToldWhenToComeAgain(t *testing.T) {
	s := otatest.New(t)
	d, other := keyed(t, s, "dev-0001"), keyed(t, s, "dev-0002")
	for range 30 {
		d.check(d.request())
	}
	got := send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/check", "application/cose", d.seal(d.request())).problem(t, 429, 0)
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	other.check(other.request())
	// A forged message takes nothing from a device's rate.
	forged := other.seal(other.request())
	forged[len(forged)-1] ^= 1
	for range 40 {
		send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/check", "application/cose", forged).want(t, 401)
	}
	other.check(other.request())
}

func TestAnAddressThatAsksTooOftenIsToldWhenToComeAgain(t *testing.T) {
	s := otatest.New(t)
	status := 0
	for range 1000 {
		got := send(t, http.DefaultClient, "GET", s.PlainURL+"/v1/nothing", "", nil)
		if status = got.status; status == 429 {
			got.problem(t, 429, 0)
			if got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			break
		}
	}
	if status != 429 {
		t.Error("1,000 requests in a row went through")
	}
}

func TestObjectsByHash(t *testing.T) {
	s := otatest.New(t)
	image := []byte("image")
	m := s.Manifest("1.0.0", image)
	release := s.PublishManifest(m, image)
	sum := func(raw []byte) string { return fmt.Sprintf("%x", sha256.Sum256(raw)) }
	t.Run("manifest", func(t *testing.T) {
		url := s.PlainURL + "/v1/manifest/" + release.ManifestHash.String()
		got := send(t, http.DefaultClient, "GET", url, "", nil).want(t, 200)
		if sum(got.body) != release.ManifestHash.String() || got.header.Get("ETag") != `"`+release.ManifestHash.String()+`"` ||
			got.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("headers %v", got.header)
		}
		send(t, http.DefaultClient, "GET", url, "", nil, "If-None-Match", `"x", W/"`+release.ManifestHash.String()+`"`).want(t, 304)
		head := send(t, http.DefaultClient, "HEAD", url, "", nil).want(t, 200)
		if len(head.body) != 0 || head.header.Get("Content-Length") != fmt.Sprint(len(got.body)) {
			t.Errorf("HEAD: %d bytes, headers %v", len(head.body), head.header)
		}
	})
	t.Run("keyset", func(t *testing.T) {
		got := send(t, http.DefaultClient, "GET", s.PlainURL+"/v1/keyset/sensor_v1/latest", "", nil).want(t, 200)
		if !bytes.Equal(got.body, s.Keyset) || got.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("headers %v", got.header)
		}
		send(t, http.DefaultClient, "GET", s.PlainURL+"/v1/keyset/sensor_v1/latest", "", nil, "If-None-Match", got.header.Get("ETag")).want(t, 304)
		numbered := send(t, http.DefaultClient, "GET", s.PlainURL+"/v1/keyset/sensor_v1/1", "", nil).want(t, 200)
		if !bytes.Equal(numbered.body, s.Keyset) || !strings.Contains(numbered.header.Get("Cache-Control"), "immutable") {
			t.Errorf("headers %v", numbered.header)
		}
	})
	t.Run("key", func(t *testing.T) {
		id := s.Release.Public().ID()
		got := send(t, http.DefaultClient, "GET", s.PlainURL+"/v1/key/"+id.String(), "", nil).want(t, 200)
		key, err := trust.ParseCOSEKey(got.body)
		if err != nil || key.ID() != id {
			t.Errorf("key %v, %v", key.ID(), err)
		}
	})
}

func TestMessagesThatAreNotDeterministicAreRefused(t *testing.T) {
	s := otatest.New(t)
	d := keyed(t, s, "dev-0001")
	payload := []byte{0xa1, 0x18, 0x01, 0x61, 'x'} // a head longer than it need be
	raw := cose.Seal(cose.TypCheckRequest, d.keys.Up.KID(), d.keys.Up[:], payload)
	send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/check", "application/cose", raw).problem(t, 400, trust.ErrMalformed)
}

// What a device with its key sends is told apart from what a stranger sends.
func TestAnAuthenticMessageWithAnInvalidPayloadIsOnRecord(t *testing.T) {
	s := otatest.New(t)
	checking, reporting := keyed(t, s, "dev-0001"), keyed(t, s, "dev-0002")
	bad, report := checking.request(), reporting.report(99, manifest.Sequence(0), sha256.Sum256(factory))
	bad.Boot = 9
	for range 3 { // a device that goes on for ever gets one record a minute
		send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/check", "application/cose", checking.seal(bad)).problem(t, 400, trust.ErrUnsupported)
		reporting.send(report).problem(t, 400, trust.ErrUnsupported)
	}
	forged := checking.seal(bad)
	forged[len(forged)-1] ^= 1
	send(t, http.DefaultClient, "POST", s.PlainURL+"/v1/check", "application/cose", forged).problem(t, 401, trust.ErrBadMAC)
	records, err := s.Management().AuditRecords(t.Context(), audit.Filter{Action: "device.refused.invalid", Oldest: true})
	if err != nil || len(records) != 2 {
		t.Fatalf("on record: %v, %v", records, err)
	}
	for i, d := range []*device{checking, reporting} {
		if r := records[i]; r.Object != "device:sensor_v1/"+d.id || !strings.Contains(string(r.After), `"reason":4`) {
			t.Errorf("on record: %s", r)
		}
	}
	dir := s.Server.Repository().Dir()
	if err := s.Server.Close(t.Context()); err != nil { // writes the counters
		t.Fatal(err)
	}
	database, blobs := place.Of(t, dir)
	repo, err := repository.Open(t.Context(), repository.Config{Dir: dir, Database: database, Blobs: blobs})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	counted, err := repo.Store().AuditRecords(t.Context(), audit.Filter{Action: "refused"})
	if err != nil || len(counted) != 1 || string(counted[0].After) != `{"Unauthorized":1}` {
		t.Errorf("counted: %v, %v", counted, err)
	}
}

func TestATokenOnThePlainListenerIsRefusedWhateverItIsFor(t *testing.T) {
	s := otatest.New(t)
	d := keyed(t, s, "dev-0001")
	for _, c := range []struct {
		method, path string
		body         []byte
	}{
		{"GET", "/v1/keyset/sensor_v1/latest", nil},
		{"POST", "/v1/check", d.seal(d.request())},
	} {
		send(t, http.DefaultClient, c.method, s.PlainURL+c.path, "application/cose", c.body, "Authorization", "Bearer x").problem(t, 403, 0)
	}
}

// Of the documents that are stored, strangers get those of releases. An SBOM,
// whose digest such a document tells, is for operators.
func TestOnlyDocumentsOfReleasesAreForEverybody(t *testing.T) {
	s := otatest.New(t)
	bom := []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"secret-dependency"}]}`)
	stored, err := s.Management().AddSBOM(t.Context(), bom)
	if err != nil {
		t.Fatal(err)
	}
	document, digest, err := manifest.Document{Notes: "notes", SBOMs: []manifest.SBOM{{Name: "bom", SHA256: stored.SHA256}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	image := []byte("image")
	m := s.Manifest("1.0.0", image)
	m.ReleaseDigest = digest
	raw, err := trust.UnsignedManifest(m)
	if err == nil {
		raw, err = trust.SignManifest(raw, s.Release)
	}
	if err == nil {
		err = s.Management().Upload(t.Context(), m.ImageDigest, int64(len(image)), bytes.NewReader(image), nil)
	}
	if err == nil {
		_, err = s.Management().AddRelease(t.Context(), trust.Bundle{Manifest: raw, ReleaseDocument: document})
	}
	if err != nil {
		t.Fatal(err)
	}
	get := func(d manifest.Digest) answer {
		return send(t, http.DefaultClient, "GET", s.PlainURL+"/v1/release/"+d.String(), "", nil)
	}
	if got := get(digest); got.status != 200 || !bytes.Equal(got.body, document) {
		t.Errorf("the document of a release: %d %q", got.status, got.body)
	}
	get(stored.SHA256).problem(t, 404, 0)
}
