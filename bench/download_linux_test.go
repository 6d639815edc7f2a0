package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// measureDownloads measures the CPU of a gigabyte sent from a file in the page
// cache. Bare is not measured: it has no files.
func measureDownloads(t *testing.T, c scale, f *field, our, nginx *process) (s sample) {
	path := "/v1/firmware/" + f.bigDigest(t, c.download)
	for round := range c.rounds + 1 {
		inTurn(round, []func(){
			func() { s.ours = append(s.ours, perGB(t, our, path, c.download)) },
			func() { s.nginx = append(s.nginx, perGB(t, nginx, "/image", c.download)) },
		})
	}
	return s.warm()
}

func perGB(t *testing.T, p *process, path string, size int) time.Duration {
	t.Helper()
	before := p.cpu(t)
	conn, err := net.Dial("tcp", p.first)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: ota.example.com\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 256<<10), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v, %v", path, resp, err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(size) {
		t.Fatalf("%s: %d bytes, %v", path, n, err)
	}
	return time.Duration(float64(p.cpu(t)-before) / float64(size) * 1e9)
}

// measureDripping has clients that send their header a byte at a time, for
// ever, beside devices that check.
func measureDripping(t *testing.T, c scale, f *field, r *report) {
	our := startOurs(t, f)
	awaitIdle(t, our)
	alone := f.latencies(t, our.first, c.checks/10)
	stop := drip(t, our.first, c.dripping)
	beside := f.latencies(t, our.first, c.checks/10)
	stop()
	r.add(fmt.Sprintf("p99 of a check, at 1,000 a second, beside %d clients that drip their headers", c.dripping),
		fmt.Sprintf("%.2f ms, alone %.2f ms: %.2f ×", ms(p99(beside)), ms(p99(alone)), float64(p99(beside))/float64(p99(alone))), "≤ 2 ×")
}

// drip opens connections that never get done with their header, and opens
// those again that the server cuts.
func drip(t *testing.T, addr string, count int) (stop func()) {
	t.Helper()
	var stopped atomic.Bool
	var open sync.WaitGroup
	var connected atomic.Int64
	for i := range count {
		open.Go(func() {
			from := &net.TCPAddr{IP: net.IPv4(127, 3, byte(i>>8), byte(1+i%250))}
			dialer := net.Dialer{LocalAddr: from, Timeout: 10 * time.Second}
			for !stopped.Load() {
				conn, err := dialer.Dial("tcp", addr)
				if err != nil {
					time.Sleep(time.Second)
					continue
				}
				connected.Add(1)
				for _, b := range []byte("POST /v1/check HTTP/1.1\r\nHost: ota.example.com\r\nX-Drip: dripdripdripdripdripdrip") {
					if _, err := conn.Write([]byte{b}); err != nil || stopped.Load() {
						break
					}
					time.Sleep(time.Second)
				}
				conn.Close()
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); connected.Load() < int64(count) && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	if connected.Load() < int64(count) {
		t.Errorf("only %d of %d clients came in", connected.Load(), count)
	}
	return func() {
		stopped.Store(true)
		open.Wait()
	}
}

// measureSlow has clients that fetch an image and hardly read.
func measureSlow(t *testing.T, c scale, f *field, r *report) {
	our := startOurs(t, f)
	awaitIdle(t, our)
	f.latencies(t, our.first, 100) // what the first requests take once
	before := our.rss(t)
	var conns []net.Conn
	for i := range c.slow {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 4, byte(i>>7), byte(1+i%128))}}
		conn, err := dialer.Dial("tcp", our.first)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
		fmt.Fprintf(conn, "GET /v1/firmware/%s HTTP/1.1\r\nHost: ota.example.com\r\n\r\n", f.bigDigest(t, c.download))
	}
	head := make([]byte, 12)
	for _, conn := range conns {
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 200" {
			t.Fatalf("%q, %v", head, err)
		}
	}
	time.Sleep(3 * time.Second)
	each := (our.rss(t) - before) / int64(c.slow)
	r.add(fmt.Sprintf("memory of each of %d slow downloads", c.slow), fmt.Sprintf("%d kB", each/1000), "≤ 64 kB")
}
