package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const nginxConf = `daemon off; worker_processes 1; pid %DIR%/pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; default_type application/json; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on; tcp_nopush on;
  client_body_temp_path %DIR%/body; proxy_temp_path %DIR%/proxy; fastcgi_temp_path %DIR%/fastcgi; uwsgi_temp_path %DIR%/uwsgi; scgi_temp_path %DIR%/scgi;
  server {
    listen 127.0.0.1:%PORT%;
    location /v1/check { return 200 '%BODY%'; }
    location / { root %DIR%; }
  }
}
`

var _ = exec.Command
var _ = filepath.Join

// TestCheckCPU measures the CPU of one update check.
func TestCheckCPU(t *testing.T) {
	f := newField(t, fieldSize())
	base := start(t, []string{childEnv + "=bare"}, true, self(t))
	our := start(t, []string{childEnv + "=ours", "BENCH_DIR=" + f.dir, "BENCH_PROFILE=" + os.Getenv("BENCH_PROFILE")}, true, self(t))
	time.Sleep(time.Second)
	awaitIdle(t, our)
	const count = 30_000
	ourLoad, baseLoad := connect(t, our.first, 512), connect(t, base.first, 512)
	for round := range 7 {
		requests, questions := f.checks(t, count)
		a := our.cpu(t)
		err := ourLoad.run(requests, func(i int, body []byte) error {
			if i%100 != 0 {
				return nil
			}
			return questions[i].verify(body)
		})
		if err != nil {
			t.Fatal(err)
		}
		a = our.cpu(t) - a
		for i := range requests {
			requests[i] = request("/v1/check", "application/json", []byte(`{"device":"dev-0001","device_type":"sensor_v1","nonce":1234567,"sequence":"1.1","image_digest":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","keyset_version":1}`))
		}
		b := base.cpu(t)
		if err := baseLoad.run(requests, nil); err != nil {
			t.Fatal(err)
		}
		b = base.cpu(t) - b
		t.Logf("round %d: ours %.1f µs, bare %.1f µs, ratio %.2f", round, float64(a.Nanoseconds())/count/1000, float64(b.Nanoseconds())/count/1000, float64(a)/float64(b))
	}
	t.Logf("rss %d MiB", our.rss(t)>>20)
}

func fieldSize() int {
	if os.Getenv("OTA_BENCH_FIELD") != "" {
		return 1_000_000
	}
	return 100_000
}

func awaitIdle(t *testing.T, p *process) {
	for {
		before := p.cpu(t)
		time.Sleep(500 * time.Millisecond)
		if p.cpu(t)-before < 100*time.Millisecond {
			return
		}
	}
}
