package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/trust"
)

// fakeServer counts requests and answers as handle says.
func fakeServer(t *testing.T, handle http.HandlerFunc) (client.Server, *atomic.Int64) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return client.Server{URL: s.URL}, &asked
}

var anImage = question{Kind: kindImage, Digest: bytes.Repeat([]byte{7}, 32)}

// serveImage answers ranges of an image, as the server does.
func serveImage(image []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(image))
	}
}

func TestOffsetsAndSizesAreHeldToTheObject(t *testing.T) {
	image := firmware(10_000)
	server, _ := fakeServer(t, serveImage(image))
	g, _ := newGateway(t, server)
	d := newDevice(t, connect(t, g, clean))
	for _, c := range []struct {
		offset, most uint32
		status       status
		data         []byte
	}{
		{0, 0, statusDone, nil},
		{0, 100, statusDone, image[:100]},
		{9_990, 100, statusDone, image[9_990:]},
		{5_000, 4096, statusDone, image[5_000:9_096]},
		{10_000, 100, statusDone, nil},
		{10_000, 0, statusDone, nil},
		{10_001, 100, statusBad, nil},
		{1<<32 - 1, 4096, statusBad, nil},
		{0, 100, statusDone, image[:100]},
		{0, 4097, statusBad, nil},
	} {
		q := anImage
		q.Offset, q.Most = c.offset, c.most
		a := d.must(q, c.status)
		if !bytes.Equal(a.Data, c.data) || c.most <= maxData && a.Total != 10_000 {
			t.Errorf("offset %d, %d bytes: %d bytes of %d", c.offset, c.most, len(a.Data), a.Total)
		}
	}
}

func TestQuestionsThatAreNoneAreAnsweredAndAskNobody(t *testing.T) {
	server, asked := fakeServer(t, serveImage(nil))
	g, _ := newGateway(t, server)
	d := newDevice(t, connect(t, g, clean))
	digest := bytes.Repeat([]byte{7}, 32)
	for _, q := range []question{
		{},
		{Kind: 7},
		{Kind: kindCheck},
		{Kind: kindCheck, Message: []byte{1}, Offset: 1},
		{Kind: kindReport, Message: bytes.Repeat([]byte{1}, trust.MaxMessage+1)},
		{Kind: kindManifest},
		{Kind: kindManifest, Digest: digest[1:]},
		{Kind: kindImage, Digest: digest, Version: 1},
		{Kind: kindImage, Digest: digest, Message: []byte{1}},
		{Kind: kindImage, Digest: digest, Type: "x"},
		{Kind: kindKeyset, Type: "sensor_v1"},
		{Kind: kindKeyset, Type: "../../api/v1/info?", Version: 1},
		{Kind: kindKeyset, Version: 1},
		{Kind: kindKeyset, Type: "sensor_v1", Version: 1, Digest: digest},
	} {
		d.must(q, statusBad)
	}
	// Frames whose bodies are no questions at all are answered too.
	for _, body := range [][]byte{{0}, {0xa0}, {0xff}, bytes.Repeat([]byte{0x81}, 1000), {0xa1, 0, 2}} {
		wire := encodeFrame(body)
		f, _ := decodeFrame(wire[1 : len(wire)-1])
		d.port.Write(wire)
		if a, ok := d.listen(f.crc); !ok || a.Status != statusBad {
			t.Errorf("%x: status %d, %v", body, a.Status, ok)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("the server was asked %d times", asked.Load())
	}
}

func TestWhatTheServerRefusesIsTold(t *testing.T) {
	var status atomic.Int64
	server, _ := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(int(status.Load()))
		fmt.Fprint(w, `{"error":"no","reason":23,"request_id":"x"}`)
	})
	g, _ := newGateway(t, server)
	d := newDevice(t, connect(t, g, clean))
	check := question{Kind: kindCheck, Message: []byte("not a message"), Most: 1024}
	for code, want := range map[int64]answer{
		400: {Status: statusRefused, Reason: 23, Retry: 7},
		401: {Status: statusRefused, Reason: 23, Retry: 7},
		404: {Status: statusNotFound, Reason: 23, Retry: 7},
		429: {Status: statusUnavailable, Reason: 23, Retry: 7},
		503: {Status: statusUnavailable, Reason: 23, Retry: 7},
		302: {Status: statusUnavailable, Reason: 23, Retry: 7},
	} {
		status.Store(code)
		a := d.must(check, want.Status)
		if a.Reason != want.Reason || a.Retry != want.Retry {
			t.Errorf("%d: %+v", code, a)
		}
	}
}

// A server that lies can only keep a device from its update.
func TestAHostileServerIsBounded(t *testing.T) {
	lies := map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for range 1 << 12 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		},
		"another range": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 100-199/1000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, 100))
		},
		"no total": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9/*")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, 10))
		},
		"fewer bytes": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9/1000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, 10))
		},
		"breaks off": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write(make([]byte, 10))
		},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			server, _ := fakeServer(t, lie)
			g, _ := newGateway(t, server)
			d := newDevice(t, connect(t, g, clean))
			d.patience = 2 * time.Second
			q := anImage
			q.Most = 100
			if name == "breaks off" || name == "endless" {
				q.Kind = kindManifest
			}
			d.must(q, statusUnavailable)
		})
	}
}

// A device that floods its line is slowed down, and uses up nothing.
func TestAFloodIsBounded(t *testing.T) {
	server, asked := fakeServer(t, serveImage(firmware(1<<20)))
	g, said := newGateway(t, server)
	d := newDevice(t, connect(t, g, clean))
	stop := time.Now().Add(time.Second)
	sent := 0
	for i := uint32(0); time.Now().Before(stop); i++ {
		q := anImage
		q.Number, q.Offset, q.Most = i, i*7919%(1<<20), 16 // never where it read before
		wire, _ := d.encode(q)
		d.port.Write(wire)
		sent++
	}
	if n := asked.Load(); n > serverBurst+2*serverRate {
		t.Errorf("the server was asked %d times in a second", n)
	}
	for range 3 * eventBurst {
		fmt.Fprint(d.port, "spam\n")
	}
	if n := said.count("says"); n > eventBurst+3*eventRate {
		t.Errorf("%d lines were told", n)
	}
	d.must(question{Kind: 9}, statusBad) // and the line is in order
	t.Logf("%d questions, %d requests", sent, asked.Load())
}

// A device that unplugs itself gets no new bounds with every connection.
func TestAFloodIsBoundedOverConnections(t *testing.T) {
	t.Parallel() // it waits
	path := filepath.Join(t.TempDir(), "uart")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	server, asked := fakeServer(t, serveImage(firmware(1<<20)))
	g, said := newGateway(t, server, "unix:"+path)
	run(t, g)
	start := time.Now()
	for asked.Load() < serverBurst+serverRate { // from where on it is slowed down
		port, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		d := newDevice(t, port)
		for i := range uint32(serverBurst/2 + 1) {
			q := anImage
			q.Offset, q.Most = i*7919, 16
			d.patience = 10 * time.Second
			d.must(q, statusDone)
		}
		port.Close()
	}
	most := serverBurst + int64(serverRate*time.Since(start).Seconds()) + 1
	if n := asked.Load(); n > most {
		t.Errorf("the server was asked %d times, at most %d are due", n, most)
	}
	if n := said.count("connected"); n != 3 {
		t.Errorf("it connected %d times", n)
	}
}

// A server that lost its power answers nothing, and closes nothing.
func TestADeadConnectionIsNotUsedForLong(t *testing.T) {
	t.Parallel() // it waits
	backend := httptest.NewUnstartedServer(serveImage(firmware(100)))
	backend.EnableHTTP2 = true
	backend.StartTLS()
	defer backend.Close()
	tunnel, cut := newTunnel(t, backend.Listener.Addr().String())
	fingerprint := sha256.Sum256(backend.Certificate().Raw)
	g, _ := newGateway(t, client.Server{URL: "https://" + tunnel, Fingerprint: hex.EncodeToString(fingerprint[:])})
	u := newUpstream("https://"+tunnel, g.http, newBounds().requests)
	get := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
		defer cancel()
		_, err := u.get(ctx, "/v1/key/07")
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	cut()
	if err := get(); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("over a connection that was cut: %v", err)
	}
	if err := get(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// newTunnel returns an address that leads to another one. cut lets nothing
// through any more on the connections that there are, and closes none.
func newTunnel(t *testing.T, to string) (address string, cut func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	var epoch atomic.Int64
	carry := func(to, from net.Conn, born int64) {
		defer from.Close()
		part := make([]byte, 4096)
		for {
			n, err := from.Read(part)
			if err != nil {
				to.Close()
				return
			}
			if epoch.Load() == born {
				to.Write(part[:n])
			}
		}
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			go carry(far, near, epoch.Load())
			go carry(near, far, epoch.Load())
		}
	}()
	return listener.Addr().String(), func() { epoch.Add(1) }
}

func TestReadAheadIsBoundedAndDoubles(t *testing.T) {
	image := firmware(300_000)
	var ranges []string
	server, _ := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		serveImage(image)(w, r)
	})
	g, _ := newGateway(t, server)
	d := newDevice(t, connect(t, g, clean))
	if !bytes.Equal(d.fetch(anImage, 4096), image) {
		t.Fatal("another image")
	}
	want := "bytes=0-4095 bytes=4096-12287 bytes=12288-28671 bytes=28672-61439 bytes=61440-126975 bytes=126976-192511 bytes=192512-258047 bytes=258048-323583"
	if got := strings.Join(ranges, " "); got != want {
		t.Errorf("it read %s", got)
	}
}

// The same bytes again are one question; other bytes end it.
func TestRepeats(t *testing.T) {
	hold := make(chan struct{})
	server, asked := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/check" {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
			fmt.Fprint(w, "answer")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	g, _ := newGateway(t, server)
	d := newDevice(t, connect(t, g, clean))
	d.patience = 500 * time.Millisecond
	first, crc := d.encode(question{Number: 1, Kind: kindCheck, Message: []byte("first"), Most: 100})
	for range 5 {
		d.port.Write(first)
	}
	if _, ok := d.listen(crc); ok || asked.Load() != 1 {
		t.Fatalf("answered: %v; the server was asked %d times", ok, asked.Load())
	}

	// A device that was reset asks something else: the first is over.
	d.must(question{Kind: kindReport, Message: []byte("second")}, statusDone)
	close(hold)
	if _, ok := d.listen(crc); ok {
		t.Fatal("the question that was given up is answered")
	}

	for range 3 {
		d.port.Write(first)
		if a, ok := d.listen(crc); !ok || string(a.Data) != "answer" {
			t.Fatalf("answer %q, %v", a.Data, ok)
		}
	}
	if asked.Load() != 3 {
		t.Errorf("the server was asked %d times, want 3: two checks, of which one was given up, and a report", asked.Load())
	}
}

// A failure is not remembered: the same bytes ask again.
func TestTheServerComesBack(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	g, said := newGateway(t, client.Server{URL: "http://" + address})
	d := newDevice(t, connect(t, g, clean))
	q := question{Kind: kindReport, Message: []byte("m")}
	d.must(q, statusUnavailable)
	said.wait(t, "failed", 1)
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Skipf("the port was taken by another process: %v", err)
	}
	back := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })}
	go back.Serve(listener)
	defer back.Close()
	d.number-- // the same bytes
	d.must(q, statusDone)
}

// A device that is reset in the middle of a frame loses that frame only.
func TestAnInterruptedFrame(t *testing.T) {
	server, _ := fakeServer(t, serveImage(firmware(1000)))
	g, _ := newGateway(t, server)
	d := newDevice(t, connect(t, g, clean))
	d.patience = 5 * time.Second
	q := anImage
	q.Most = 10
	wire, _ := d.encode(q)
	for cut := range wire {
		d.port.Write(wire[:cut])
		d.must(q, statusDone)
	}
	if d.repeats != 0 {
		t.Errorf("%d questions had to be repeated", d.repeats)
	}
}

func TestAnAnswerThatDoesNotFitIsNotCut(t *testing.T) {
	server, _ := fakeServer(t, func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 300)) })
	g, _ := newGateway(t, server)
	d := newDevice(t, connect(t, g, clean))
	a := d.must(question{Kind: kindCheck, Message: []byte("m"), Most: 299}, statusTooLarge)
	if a.Total != 300 || len(a.Data) != 0 {
		t.Errorf("%d bytes of %d", len(a.Data), a.Total)
	}
	d.must(question{Kind: kindCheck, Message: []byte("m"), Most: 300}, statusDone)
}

// The largest frames are as long as the spec says.
func TestSizesAreThoseOfTheSpec(t *testing.T) {
	a := answer{Format: format, To: 1<<32 - 1, Total: 1<<32 - 1, Data: make([]byte, maxData)}
	body, err := dcbor.Marshal(a)
	if err != nil || lengthSize+len(body)+crcSize > maxData+30 {
		t.Errorf("an answer of %d bytes, %v", len(body), err)
	}
	q := question{Format: format, Number: 1<<32 - 1, Kind: kindCheck, Most: maxData, Message: make([]byte, trust.MaxMessage)}
	body, err = dcbor.Marshal(q)
	if err != nil || lengthSize+len(body)+crcSize > maxQuestion {
		t.Errorf("a question of %d bytes, %v", len(body), err)
	}
}
