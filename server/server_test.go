package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/testenv"
	"github.com/secure-ota/secure-ota/internal/testenv/place"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

func TestAHeaderThatNeverEndsIsCut(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	for _, address := range []string{s.Server.PlainAddr().String(), s.Server.TLSAddr().String()} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			start := time.Now()
			go func() {
				fmt.Fprint(conn, "GET /v1/nothing HTTP/1.1\r\n")
				for {
					if _, err := fmt.Fprint(conn, "X-A: b\r\n"); err != nil {
						return
					}
					time.Sleep(500 * time.Millisecond)
				}
			}()
			conn.SetReadDeadline(start.Add(20 * time.Second))
			_, err = io.Copy(io.Discard, conn)
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("open for %s: %v", took, err)
			}
		})
	}
}

func TestABodyThatNeverEndsIsCut(t *testing.T) {
	t.Parallel()
	s := otatest.New(t)
	conn, err := net.Dial("tcp", s.Server.PlainAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	fmt.Fprint(conn, "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/cose\r\nContent-Length: 100\r\n\r\nabc")
	conn.SetReadDeadline(start.Add(30 * time.Second))
	io.Copy(io.Discard, conn)
	if took := time.Since(start); took > 25*time.Second {
		t.Errorf("open for %s", took)
	}
}

func TestALargeHeaderIsRefused(t *testing.T) {
	s := otatest.New(t)
	req, err := http.NewRequest("GET", s.PlainURL+"/v1/nothing", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Large", strings.Repeat("x", 20<<10))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestAClientThatNamesOldHTTPAloneIsServedOnTLS(t *testing.T) {
	s := otatest.New(t)
	conn, err := tls.Dial("tcp", s.Server.TLSAddr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/keyset/sensor_v1/latest HTTP/1.0\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.0 200 OK\r\n")) || !bytes.HasSuffix(answer, s.Keyset) {
		t.Errorf("%q, %v", answer, err)
	}
}

// download begins to fetch an image larger than all buffers on the way.
func download(t *testing.T, url string, image manifest.Digest) *http.Response {
	t.Helper()
	resp, err := http.Get(url + "/v1/firmware/" + image.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func startServer(t *testing.T, cfg server.Config) (s *server.Server, url string, stop func() error) {
	t.Helper()
	cfg.TLSAddress, cfg.PlainAddress = server.NoTLS, "127.0.0.1:0"
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	return s, "http://" + s.PlainAddr().String(), stop
}

func publish(t *testing.T, s *server.Server, v *vendor, image []byte) manifest.Digest {
	t.Helper()
	m := s.Management("test")
	if _, err := m.AddKeyset(t.Context(), v.bundle); err != nil {
		t.Fatal(err)
	}
	bundle, release := v.sign(image)
	if err := m.Upload(t.Context(), release.ImageDigest, int64(len(image)), bytes.NewReader(image), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddRelease(t.Context(), bundle); err != nil {
		t.Fatal(err)
	}
	return release.ImageDigest
}

func TestAStopLetsARunningDownloadFinish(t *testing.T) {
	t.Parallel()
	s, url, stop := startServer(t, server.Config{Dir: t.TempDir(), Grace: 20 * time.Second})
	image := bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
	digest := publish(t, s, newVendor(t), image)
	resp := download(t, url, digest)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	time.Sleep(300 * time.Millisecond)
	if _, err := http.Get(url + "/v1/nothing"); err == nil {
		t.Error("a new connection was taken while the server was stopping")
	}
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil || !bytes.Equal(h.Sum(nil), digest[:]) {
		t.Errorf("the download did not finish: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAStopCutsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	s, url, stop := startServer(t, server.Config{Dir: t.TempDir(), Grace: time.Second})
	image := bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
	resp := download(t, url, publish(t, s, newVendor(t), image))
	start := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("stopped after %s", took)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("the download seemed whole after %d bytes", n)
	}
}

func TestTheKernelSendsTheImage(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("sendfile is watched on Linux only")
	}
	strace := testenv.Tool(t, "strace", "strace")
	dir, v := t.TempDir(), newVendor(t)
	trace := filepath.Join(t.TempDir(), "trace")
	c := startChild(t, dir, strace, "-f", "-o", trace, "-e", "trace=sendfile", "--")
	v.token = c.Token
	client := v.client(c)
	v.provision(client)
	image := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	bundle, m := v.sign(image)
	if err := client.Upload(t.Context(), m.ImageDigest, int64(len(image)), bytes.NewReader(image), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AddRelease(t.Context(), bundle); err != nil {
		t.Fatal(err)
	}
	resp := download(t, c.Plain, m.ImageDigest)
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(image)) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	c.end(t)
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	// net/http sends the first 512 bytes itself, with the header.
	if sent := sentBytes(string(text)); sent < int64(len(image))-512 {
		t.Errorf("sendfile sent %d of %d bytes", sent, len(image))
	}
}

// sentBytes adds up the results of sendfile in a trace.
func sentBytes(trace string) (total int64) {
	for line := range strings.Lines(trace) {
		var n int64
		_, err := fmt.Sscan(line[strings.LastIndex(line, "=")+1:], &n)
		if err == nil && n > 0 && strings.Contains(line, "sendfile") {
			total += n
		}
	}
	return total
}

func TestNoSecretIsWrittenAnywhere(t *testing.T) {
	place.OnFiles(t)
	t.Parallel()
	var log lockedBuffer
	dir := t.TempDir()
	s := otatest.New(t, otatest.Options{Config: func(c *server.Config) {
		c.Dir, c.Log = dir, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}})
	keyed, token, code := s.Device("dev-0001"), s.TokenDevice("dev-0002"), s.EnrolmentCode()
	enrol := fmt.Sprintf(`{"code":%q,"device_type":%q,"device":"gw-1"}`, code, otatest.DeviceType)
	var answers bytes.Buffer
	post := func(path, contentType, body, bearer string) {
		req, err := http.NewRequest("POST", s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		resp, err := s.HTTPClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			io.Copy(&answers, resp.Body)
		}
	}
	post("/v1/enrol", "application/json", enrol, "")
	post("/v1/enrol", "application/json", enrol, "") // spent
	post("/v1/enrol", "application/json", enrol+code, "")
	post("/v1/check", "application/json", `{"device":"dev-0002","token":"`+token.Token+`"}`, token.Token)
	post("/v1/check", "application/json", "{", token.Token)
	post("/v1/check", "application/cose", keyed.UpKey, "")
	post("/api/v1/tokens", "application/json", `{"name":"x y","role":"viewer","valid_seconds":1}`, s.Token)
	post("/api/v1/nothing", "application/json", "", s.Token+"x")
	post("/api/v1/devices", "application/json", `{"device_type":"sensor_v1","device":"`+keyed.DownKey+keyed.UpKey+`","level":"keyed"}`, s.Token)
	if _, err := s.Management().AddToken(t.Context(), newViewer()); err != nil {
		t.Fatal(err)
	}
	master, err := os.ReadFile(filepath.Join(dir, "secrets", "fleet-"+otatest.DeviceType+".key"))
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(strings.TrimSpace(string(master)), ": ")
	records, err := s.Management().AuditRecords(t.Context(), audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, r := range records {
		all.WriteString(r.String() + "\n")
	}
	database, err := os.ReadFile(filepath.Join(dir, "ota.db"))
	if err != nil {
		t.Fatal(err)
	}
	wal, _ := os.ReadFile(filepath.Join(dir, "ota.db-wal"))
	fmt.Fprintf(&log, "%v %+v %#v", keyed, keyed, keyed)
	for place, text := range map[string]string{
		"log": log.String(), "answers": answers.String(), "audit": all.String(), "database": string(database) + string(wal),
	} {
		for what, canary := range map[string]string{
			"up key": keyed.UpKey, "down key": keyed.DownKey, "device token": token.Token, "operator token": s.Token,
			"enrolment code": code, "fleet master": secret,
		} {
			if place == "answers" && (what == "up key" || what == "down key") {
				continue // the client sent them in place of a name, and is told which name is wrong
			}
			if len(canary) < 16 {
				t.Fatalf("%s is %q", what, canary)
			}
			if strings.Contains(text, canary) {
				t.Errorf("the %s stands in the %s", what, place)
			}
		}
	}
	info, err := os.Stat(filepath.Join(dir, "secrets", "tls.pem"))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("TLS key: %v, %v", info.Mode(), err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestTheCertificateIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var prints []string
	for range 2 {
		s, err := server.New(t.Context(), server.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, s.Fingerprint())
		_, first := s.InitialToken()
		if first != (len(prints) == 1) {
			t.Errorf("start %d shows an administrator's token: %t", len(prints), first)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(prints[0]) != 64 || prints[0] != prints[1] {
		t.Errorf("fingerprints %q", prints)
	}
}

func TestABadConfigurationIsRefused(t *testing.T) {
	for name, cfg := range map[string]server.Config{
		"no directory":  {},
		"only a key":    {Dir: t.TempDir(), KeyFile: "x"},
		"no listener":   {Dir: t.TempDir(), TLSAddress: server.NoTLS},
		"public URL":    {Dir: t.TempDir(), PublicURL: "ota.example.com"},
		"URL with path": {Dir: t.TempDir(), PublicURL: "https://ota.example.com/x"},
		"half seconds":  {Dir: t.TempDir(), Retry: 500 * time.Millisecond},
		"no such files": {Dir: t.TempDir(), CertFile: "nowhere.pem", KeyFile: "nowhere.key"},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := server.New(t.Context(), cfg); err == nil {
				s.Close(t.Context())
				t.Error("accepted")
			}
		})
	}
}

func TestALibraryUserServesInHisOwnProcess(t *testing.T) {
	s, _, _ := startServer(t, server.Config{Dir: t.TempDir()})
	image := []byte("image")
	digest := publish(t, s, newVendor(t), image)
	if _, err := s.AddDevice(t.Context(), "alice", server.NewDevice{Ref: server.DeviceRef{DeviceType: "sensor_v1", ID: "dev-0001"}}); err != nil {
		t.Fatal(err)
	}
	answer, err := s.CheckForUpdates(t.Context(), trust.CheckRequest{Device: "dev-0001", DeviceType: "sensor_v1", Nonce: 1, KeysetVersion: 1})
	if err != nil || answer.ManifestHash.IsZero() {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	stream, size, err := s.FirmwareDownload(t.Context(), digest, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if got, err := io.ReadAll(stream); err != nil || string(got) != "age" || size != 5 {
		t.Errorf("%q of %d bytes, %v", got, size, err)
	}
	if _, _, err := s.FirmwareDownload(t.Context(), digest, 6); err == nil {
		t.Error("a stream began past the end")
	}
	if err := s.RecordUpdate(t.Context(), trust.Report{Device: "dev-0001", DeviceType: "sensor_v1", Nonce: 2, Event: trust.EventInstalled}); err != nil {
		t.Error(err)
	}
}
func newViewer() auth.NewOperator { return auth.NewOperator{Name: "viewer", Role: auth.Viewer} }
