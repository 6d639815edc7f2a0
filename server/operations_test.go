package server_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/logging"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

// monitored starts a system with a listener for monitoring.
func monitored(t *testing.T, more ...func(*server.Config)) (s *otatest.System, monitor string) {
	t.Helper()
	s = otatest.New(t, otatest.Options{Config: func(c *server.Config) {
		c.MetricsAddress, c.Version = "127.0.0.1:0", "9.9.9"
		for _, change := range more {
			change(c)
		}
	}})
	return s, "http://" + s.Server.MetricsAddr().String()
}

// ask sends a request with header fields given as pairs.
func ask(t *testing.T, client *http.Client, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// checkIn sends an update check of a device as it stands in the factory.
func checkIn(t *testing.T, s *otatest.System, p server.Provisioning, nonce uint64) trust.CheckResponse {
	t.Helper()
	keys := s.DeviceKeys(p)
	sealed, err := trust.CheckRequest{Device: p.Device, DeviceType: p.DeviceType, Nonce: nonce, KeysetVersion: 1}.Seal(keys.Up)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(s.PlainURL+"/v1/check", "application/cose", bytes.NewReader(sealed))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("check: status %d, %v: %s", resp.StatusCode, err, raw)
	}
	if id := resp.Header.Get("X-Request-Id"); id != "" {
		t.Errorf("the answer to a check carries a request id %q, which it has no room for", id)
	}
	answer, err := trust.OpenCheckResponse(raw, keys.Down, p.Device, nonce)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestMetricsTellWhatHappened(t *testing.T) {
	t.Parallel()
	s, monitor := monitored(t)
	image := bytes.Repeat([]byte("x"), 100_000)
	release := s.Publish("1.0.0", image)
	device := s.Device("dev-0001")
	checkIn(t, s, device, 1)
	download(t, s.PlainURL, release.ImageDigest)
	ask(t, http.DefaultClient, "GET", s.PlainURL+"/v1/manifest/nothing")
	ask(t, s.HTTPClient(), "GET", s.URL+"/api/v1/devices", "Authorization", "Bearer wrong")
	wants := []string{
		`ota_checks_total{outcome="offered"} 1`, `ota_device_refusals_total{status="404",reason="0"} 1`,
		`ota_devices{device_type="sensor_v1",state="offered"} 1`, `ota_download_bytes_total 100000`, `ota_downloads_total{outcome="whole"} 1`,
		`ota_operator_authentication_failures_total 1`, `ota_store_up 1`, `version="9.9.9"`,
		`ota_management_request_duration_seconds_count{method="GET",route="GET /api/v1/devices",status="401"} 1`,
	}
	var got string
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) { // a download is counted after its last byte
		_, got = ask(t, http.DefaultClient, "GET", monitor+"/metrics")
		if strings.Contains(got, `outcome="whole"} 1`) || time.Now().After(deadline) {
			break
		}
	}
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	for what, secret := range map[string]string{"device": "dev-0001", "token": s.Token, "address": "127.0.0.1", "digest": release.ImageDigest.String()} {
		if strings.Contains(got, secret) {
			t.Errorf("the %s stands in the metrics", what)
		}
	}
}

func TestMetricsAreNotForDevices(t *testing.T) {
	t.Parallel()
	s, monitor := monitored(t)
	device := s.TokenDevice("dev-0001")
	viewer, err := s.Management().AddToken(t.Context(), newViewer())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		client *http.Client
		url    string
		token  string
		want   int
	}{
		{http.DefaultClient, s.PlainURL, "", 403},
		{http.DefaultClient, s.PlainURL, viewer.Reveal(), 403}, // by now anybody on the way has it
		{s.HTTPClient(), s.URL, "", 401},
		{s.HTTPClient(), s.URL, device.Token, 401},
		{s.HTTPClient(), s.URL, viewer.Reveal(), 200},
		{http.DefaultClient, monitor, "", 200},
	} {
		resp, body := ask(t, c.client, "GET", c.url+"/metrics", "Authorization", "Bearer "+c.token)
		if resp.StatusCode != c.want || strings.Contains(body, "ota_checks_total") != (c.want == 200) {
			t.Errorf("%s with token of %d bytes: status %d: %.100s", c.url, len(c.token), resp.StatusCode, body)
		}
	}
	if resp, _ := ask(t, http.DefaultClient, "GET", monitor+"/api/v1/info", "Authorization", "Bearer "+s.Token); resp.StatusCode != 404 {
		t.Errorf("the listener for monitoring serves the API: %d", resp.StatusCode)
	}
}

func TestHealthSaysWhatIsNotWell(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	s, plain, _ := startServer(t, server.Config{
		Dir: t.TempDir(), MetricsAddress: "127.0.0.1:0",
		Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
	})
	monitor := "http://" + s.MetricsAddr().String()
	wants := func(healthz, readyz, devices int, said string) {
		t.Helper()
		for _, base := range []string{plain, monitor} {
			for path, want := range map[string]int{"/healthz": healthz, "/readyz": readyz, "/readyz/devices": devices} {
				resp, body := ask(t, http.DefaultClient, "GET", base+path)
				if resp.StatusCode != want || path == "/readyz" && body != said {
					t.Errorf("%s%s: status %d, want %d: %s", base, path, resp.StatusCode, want, body)
				}
			}
		}
	}
	wants(200, 200, 200, `{"ready":true,"database":true,"writable":true,"snapshot":true}`)
	if err := s.Repository().Store().Close(); err != nil { // as if the database had gone
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, body := ask(t, http.DefaultClient, "GET", monitor+"/readyz"); strings.Contains(body, `"database":false`) {
			break
		}
	}
	wants(200, 503, 200, `{"ready":false,"database":false,"writable":false,"snapshot":true}`)
	later.Store(int64(14 * time.Minute))
	wants(200, 503, 200, `{"ready":false,"database":false,"writable":false,"snapshot":false}`)
	later.Store(int64(16 * time.Minute))
	wants(200, 503, 503, `{"ready":false,"database":false,"writable":false,"snapshot":false}`)
	_, got := ask(t, http.DefaultClient, "GET", monitor+"/metrics")
	if !strings.Contains(got, "\nota_store_up 0\n") {
		t.Error("the metrics know nothing of it")
	}
}

func TestEveryAnswerToAnOperatorAndEveryErrorHasARequestID(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	s, monitor := monitored(t, logged(t, &log, logging.JSON))
	seen := map[string]bool{}
	for _, c := range []struct {
		client    *http.Client
		url, path string
	}{
		{s.HTTPClient(), s.URL, "/api/v1/info"}, {s.HTTPClient(), s.URL, "/api/v1/nothing"}, {s.HTTPClient(), s.URL, "/"},
		{s.HTTPClient(), s.URL, "/a//b"}, {s.HTTPClient(), s.URL, "/v1/key/x"}, {http.DefaultClient, s.PlainURL, "/v1/nothing"},
		{http.DefaultClient, s.PlainURL, "/api/v1/info"}, {http.DefaultClient, monitor, "/nothing"},
	} {
		// Whoever likes can send an id; it is not taken from strangers.
		resp, body := ask(t, c.client, "GET", c.url+c.path, "Authorization", "Bearer "+s.Token, "X-Request-Id", "chosen-by-a-stranger")
		id := resp.Header.Get("X-Request-Id")
		if len(id) != 16 || seen[id] {
			t.Errorf("%s%s: request id %q", c.url, c.path, id)
		}
		seen[id] = true
		var problem struct {
			RequestID string `json:"request_id"`
		}
		if json.Unmarshal([]byte(body), &problem) == nil && problem.RequestID != "" && problem.RequestID != id {
			t.Errorf("%s: id %s in the header, %s in the body", c.path, id, problem.RequestID)
		}
	}
}

// logged sends a server's log to b.
func logged(t *testing.T, b io.Writer, format string) func(*server.Config) {
	log, err := logging.New(b, format, slog.LevelDebug)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *server.Config) { c.Log = log }
}

// accessLines returns the lines of the access log.
func accessLines(t *testing.T, log string) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if fields["msg"] == "request" {
			lines = append(lines, fields)
		}
	}
	return lines
}

func TestEveryRequestOfAnOperatorIsALineOfTheLog(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	s, _ := monitored(t, logged(t, &log, logging.JSON))
	device := s.Device("dev-0001")
	before := len(accessLines(t, log.String()))
	resp, body := ask(t, s.HTTPClient(), "GET", s.URL+"/api/v1/devices/sensor_v1/dev-0001", "Authorization", "Bearer "+s.Token)
	checkIn(t, s, device, 1)
	ask(t, s.HTTPClient(), "DELETE", s.URL+"/api/v1/tokens/%1b%5b31m%0aadmin", "Authorization", "Bearer nobody's")
	lines := accessLines(t, log.String())[before:]
	if len(lines) != 2 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	for name, want := range map[string]any{
		"level": "INFO", "actor": "token:admin", "method": "GET", "route": "GET /api/v1/devices/{type}/{id}", "status": 200.0,
		"bytes": float64(len(body)), "request": resp.Header.Get("X-Request-Id"),
	} {
		if lines[0][name] != want {
			t.Errorf("%s is %v, want %v", name, lines[0][name], want)
		}
	}
	if took, ok := lines[0]["took"].(float64); !ok || took <= 0 {
		t.Errorf("took %v", lines[0]["took"])
	}
	if lines[1]["actor"] != "nobody" || lines[1]["status"] != 401.0 || lines[1]["route"] != "DELETE /api/v1/tokens/{name}" {
		t.Errorf("line %v", lines[1])
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "/v1/check") && !strings.Contains(line, `"level":"DEBUG"`) {
			t.Errorf("a check is logged above debug: %s", line)
		}
	}
}

func TestHostileNamesBeginNoLineOfTheLog(t *testing.T) {
	t.Parallel()
	for _, format := range []string{logging.Text, logging.JSON} {
		var log lockedBuffer
		s, _ := monitored(t, logged(t, &log, format))
		hostile := "%0alevel=ERROR%0dmsg=forged%1b%5b31m%00%c2%9b%e2%80%ae"
		ask(t, s.HTTPClient(), "GET", s.URL+"/api/v1/devices/sensor_v1/"+hostile, "Authorization", "Bearer "+s.Token)
		ask(t, s.HTTPClient(), "GET", s.URL+"/api/v1/"+hostile, "Authorization", "Bearer "+s.Token)
		ask(t, s.HTTPClient(), "GET", s.URL+"/v1/manifest/"+hostile)
		ask(t, s.HTTPClient(), "POST", s.URL+"/v1/check?"+hostile, "Authorization", "Bearer x", "Content-Type", "application/json")
		conn, err := tls.Dial("tcp", s.Server.TLSAddr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET /\x1b[31m HTTP/1.1\r\nHost: x\x1b\r\n\r\n")
		io.Copy(io.Discard, conn)
		conn.Close()
		for line := range strings.Lines(log.String()) {
			line = strings.TrimSuffix(line, "\n")
			if !strings.HasPrefix(line, "time=") && !strings.HasPrefix(line, `{"time":`) {
				t.Errorf("%s: a line of somebody else's: %q", format, line)
			}
			if strings.ContainsAny(line, "\x1b\r\x00\u009b\u202e") {
				t.Errorf("%s: %q", format, line)
			}
		}
	}
}

func TestOnlyATrustedProxySaysWhoAsks(t *testing.T) {
	t.Parallel()
	const client = "198.51.100.7"
	for name, c := range map[string]struct {
		trusted   string
		forwarded []string
		want      string // address on record; empty: that of the connection
		id        string // "": our own
	}{
		"a stranger":                  {"192.0.2.0/24", []string{client}, "", ""},
		"a proxy":                     {"127.0.0.0/8", []string{client}, client, "of-the-proxy.1"},
		"a proxy behind a proxy":      {"127.0.0.0/8", []string{client + ", 127.0.0.9"}, client, "of-the-proxy.1"},
		"what the client wrote first": {"127.0.0.0/8", []string{"203.0.113.1, " + client}, client, "of-the-proxy.1"},
		"two header lines":            {"127.0.0.0/8", []string{"203.0.113.1", client}, client, "of-the-proxy.1"},
		"words":                       {"127.0.0.0/8", []string{client + ", unknown"}, "", "of-the-proxy.1"},
		"no header":                   {"127.0.0.0/8", nil, "", "of-the-proxy.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := monitored(t, func(cfg *server.Config) { cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(c.trusted)} })
			header := []string{"Authorization", "Bearer " + s.Token, "X-Request-Id", "of-the-proxy.1"}
			for _, f := range c.forwarded {
				header = append(header, "X-Forwarded-For", f)
			}
			resp, _ := ask(t, s.HTTPClient(), "POST", s.URL+"/api/v1/devices/sensor_v1/nobody/retry", header...)
			if id := resp.Header.Get("X-Request-Id"); (id == "of-the-proxy.1") != (c.id != "") {
				t.Errorf("request id %q", id)
			}
			ask(t, s.HTTPClient(), "DELETE", s.URL+"/api/v1/tokens/admin", header...)
			records, err := s.Management().AuditRecords(t.Context(), audit.Filter{Action: "token.revoke"})
			if err != nil || len(records) != 1 {
				t.Fatalf("%v, %v", records, err)
			}
			if got := records[0].Address; c.want != "" && got != c.want+":0" || c.want == "" && !strings.HasPrefix(got, "127.0.0.1:") {
				t.Errorf("on record is %s", got)
			}
		})
	}
}

func TestARequestIDThatIsNoWordIsNotTaken(t *testing.T) {
	t.Parallel()
	s, _ := monitored(t, func(cfg *server.Config) { cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	for _, id := range []string{"", "a b", "a=b", `a"b`, "é", strings.Repeat("x", 65)} {
		resp, _ := ask(t, s.HTTPClient(), "GET", s.URL+"/api/v1/info", "X-Request-Id", id)
		if got := resp.Header.Get("X-Request-Id"); got == id || len(got) != 16 {
			t.Errorf("%q became %q", id, got)
		}
	}
}

// Behind a proxy all connections come from one address.
func TestAProxyHasNoBoundOfOneAddress(t *testing.T) {
	t.Parallel()
	s, monitor := monitored(t, func(cfg *server.Config) {
		cfg.MaxConnectionsPerAddress = 2
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	held(t, s.Server.PlainAddr().String(), 6)
	if status, _, err := fresh(t, s, s.PlainURL); status != http.StatusNotFound {
		t.Errorf("status %d, %v", status, err)
	}
	if _, got := ask(t, http.DefaultClient, "GET", monitor+"/metrics"); !strings.Contains(got, "\nota_connections_open ") ||
		!strings.Contains(got, "\nota_connections_refused_total 0\n") {
		t.Error("the connections are not counted, or were refused")
	}
}

func TestAWrongTokenBehindAProxySlowsNobodyElse(t *testing.T) {
	t.Parallel()
	s, _ := monitored(t, func(cfg *server.Config) { cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	from := func(client, token string) int {
		resp, _ := ask(t, s.HTTPClient(), "GET", s.URL+"/api/v1/info", "Authorization", "Bearer "+token, "X-Forwarded-For", client)
		return resp.StatusCode
	}
	for range 20 {
		from("198.51.100.1", auth.NewToken(auth.OperatorPrefix).Reveal())
	}
	if a, b := from("198.51.100.1", s.Token), from("198.51.100.2", s.Token); a != 429 || b != 200 {
		t.Errorf("status %d and %d", a, b)
	}
}
