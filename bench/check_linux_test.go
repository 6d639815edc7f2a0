package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

// A scale is how large a measurement is. The small one shows in a few seconds
// that everything works, and its figures mean nothing.
type scale struct {
	devices, checks, rounds int
	connections             int
	download                int // bytes
	dripping, slow          int // clients
	drippingRounds          int
}

func scaleOf() scale {
	if os.Getenv("OTA_BENCH") == "" {
		return scale{devices: 2000, checks: 300, rounds: 1, connections: 16, download: 1 << 20, dripping: 50, drippingRounds: 1, slow: 5}
	}
	return scale{devices: 1_000_000, checks: 30_000, rounds: 9, connections: 512, download: 256 << 20, dripping: 10_000, drippingRounds: 5, slow: 500}
}

// A sample is the CPU time of one operation of ours and of two peers.
type sample struct{ ours, bare, nginx []time.Duration }

// TestServer measures the server beside a bare net/http handler and nginx, in
// one run, all pinned to one core, the order reversed in every other round.
func TestServer(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector costs more than the server")
	}
	testenv.Tool(t, "taskset", "util-linux")
	nginxPath := testenv.Tool(t, "nginx", "nginx")
	c, r := scaleOf(), newReport()
	f := newField(t, c.devices)

	our, began := startOurs(t, f), time.Now()
	answered := f.firstAnswer(t, our.first)
	r.add("start to first answer", fmt.Sprintf("%.2f s", answered.Sub(began).Seconds()+our.startup.Seconds()), "≤ 1.5 s")
	awaitIdle(t, our)
	r.add("memory after it has read them", megabytes(our.rss(t)), "")
	base := start(t, []string{childEnv + "=bare"}, true, self(t))
	nginx := startNginx(t, nginxPath, c.download)

	s := measureChecks(t, c, f, our, base, nginx)
	r.compare("update check", s, 1.2, 2.5)
	r.add("memory beside 512 connections", megabytes(our.rss(t)), "≤ 160 MB")
	awaitIdle(t, our) // what the checks left to be written behind is not a download's
	d := measureDownloads(t, c, f, our, nginx)
	r.compare("download of 1 GB", d, 0, 1.0)
	measureDripping(t, c, f, r)
	measureSlow(t, c, f, r)
	r.write(t, c)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%d MB", bytes/1_000_000) }

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func startOurs(t *testing.T, f *field) *process {
	t.Helper()
	return start(t, []string{childEnv + "=ours", "BENCH_DIR=" + f.dir, "BENCH_PROFILE=" + os.Getenv("OTA_BENCH_PROFILE")}, true, self(t))
}

const nginxConf = `daemon off; master_process off; pid DIR/pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  server {
    listen 127.0.0.1:PORT;
    default_type application/json;
    location /v1/check { return 200 'BODY'; }
    location / { root DIR/root; }
  }
}
`

// startNginx starts nginx with one process, which answers every check with 300
// bytes from memory and serves a file.
func startNginx(t *testing.T, path string, size int) *process {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	if err := os.Mkdir(filepath.Join(dir, "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "root", "image"), make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer("DIR", dir, "PORT", port, "BODY", `{"update":null,"padding":"`+strings.Repeat("x", 270)+`"}`).Replace(nginxConf)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, false, path, "-c", file, "-p", dir)
	p.first = "127.0.0.1:" + port
	awaitPort(t, p.first)
	return p
}

// measureChecks measures update checks of devices drawn from the whole fleet,
// over connections that stay open.
func measureChecks(t *testing.T, c scale, f *field, our, base, nginx *process) (s sample) {
	ourLoad, baseLoad, nginxLoad := connect(t, our.first, c.connections), connect(t, base.first, c.connections), connect(t, nginx.first, c.connections)
	plain := make([][]byte, c.checks)
	for i := range plain {
		plain[i] = request("/v1/check", "application/json", []byte(`{"device":"dev-0000001","device_type":"sensor_v1","nonce":1234567,`+
			`"sequence":"1.1","image_digest":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","keyset_version":1}`))
	}
	for round := range c.rounds + 1 { // the first warms up
		requests, questions := f.checks(t, c.checks)
		inTurn(round, []func(){
			func() {
				s.ours = append(s.ours, perRequest(t, our, ourLoad, requests, func(i int, body []byte) error {
					if i%50 != 0 { // opening each would cost us more than the server
						return nil
					}
					return questions[i].verify(body)
				}))
			},
			func() { s.bare = append(s.bare, perRequest(t, base, baseLoad, plain, nil)) },
			func() { s.nginx = append(s.nginx, perRequest(t, nginx, nginxLoad, plain, nil)) },
		})
	}
	return s.warm()
}

func perRequest(t *testing.T, p *process, l *load, requests [][]byte, check func(int, []byte) error) time.Duration {
	t.Helper()
	before := p.cpu(t)
	if err := l.run(requests, check); err != nil {
		t.Fatal(err)
	}
	return (p.cpu(t) - before) / time.Duration(len(requests))
}

// inTurn does things in their order, in every other round in the reverse.
func inTurn(round int, things []func()) {
	for i := range things {
		if round%2 == 1 {
			i = len(things) - 1 - i
		}
		things[i]()
	}
}

// warm forgets the first round.
func (s sample) warm() sample {
	for _, list := range []*[]time.Duration{&s.ours, &s.bare, &s.nginx} {
		if len(*list) > 1 {
			*list = (*list)[1:]
		}
	}
	return s
}

// awaitIdle waits until a process has used less than a tenth of a core for a
// while.
func awaitIdle(t *testing.T, p *process) {
	t.Helper()
	for range 1200 {
		before := p.cpu(t)
		time.Sleep(500 * time.Millisecond)
		if p.cpu(t)-before < 20*time.Millisecond {
			return
		}
	}
	t.Fatal("it never rests")
}
