package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
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
