package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/client"
	"github.com/secure-ota/secure-ota/internal/dcbor"
)

// A device is the other end of a line, as docs/spec/serial.md section 5 has it,
// with a shorter patience.
type device struct {
	t        testing.TB
	port     io.ReadWriter
	patience time.Duration
	in       chan []byte
	wire     []byte // of the frame that is coming
	number   uint32
	repeats  int
}

func newDevice(t testing.TB, port io.ReadWriter) *device {
	d := &device{t: t, port: port, patience: 100 * time.Millisecond, in: make(chan []byte, 1<<10)}
	go func() {
		defer close(d.in)
		for {
			in := make([]byte, 512)
			n, err := port.Read(in)
			if err != nil {
				return
			}
			d.in <- in[:n]
		}
	}()
	return d
}

var errSilent = errors.New("the gateway does not answer")

// encode returns the frame of a question and the crc that its answer names.
func (d *device) encode(q question) ([]byte, uint32) {
	d.t.Helper()
	q.Format = format
	body, err := dcbor.Marshal(q)
	if err != nil {
		d.t.Fatal(err)
	}
	wire := encodeFrame(body)
	f, ok := decodeFrame(wire[1 : len(wire)-1])
	if !ok {
		d.t.Fatal("the frame is none")
	}
	return wire, f.crc
}

// ask asks until it is answered, at most twelve times.
func (d *device) ask(q question) (answer, error) {
	d.t.Helper()
	d.number++
	q.Number = d.number
	wire, crc := d.encode(q)
	for try := range 12 {
		if try > 0 {
			d.repeats++
		}
		if _, err := d.port.Write(wire); err != nil {
			return answer{}, err
		}
		if a, ok := d.listen(crc); ok {
			return a, nil
		}
	}
	return answer{}, errSilent
}

// listen waits for the answer to a question, and drops every other frame.
func (d *device) listen(crc uint32) (answer, bool) {
	for {
		select {
		case in, ok := <-d.in:
			if !ok {
				return answer{}, false
			}
			if a, ok := d.take(in, crc); ok {
				return a, true
			}
		case <-time.After(d.patience):
			return answer{}, false
		}
	}
}

// take takes bytes off the line.
func (d *device) take(in []byte, crc uint32) (a answer, found bool) {
	for _, b := range in {
		if b != delimiter {
			d.wire = append(d.wire, b)
			continue
		}
		f, ok := decodeFrame(d.wire)
		d.wire = d.wire[:0]
		var got answer
		if ok && dcbor.UnmarshalPayload(f.body, format, &got) == nil && got.To == crc {
			a, found = got, true
		}
	}
	return a, found
}

// must asks and wants that status.
func (d *device) must(q question, want status) answer {
	d.t.Helper()
	a, err := d.ask(q)
	if err != nil {
		d.t.Fatalf("ask for a %s: %v", q.Kind, err)
	}
	if a.Status != want {
		d.t.Fatalf("ask for a %s: status %d, reason %d, want status %d", q.Kind, a.Status, a.Reason, want)
	}
	return a
}

// fetch reads a whole object in pieces.
func (d *device) fetch(q question, piece uint32) []byte {
	d.t.Helper()
	var all []byte
	for {
		q.Offset, q.Most = uint32(len(all)), piece
		a := d.must(q, statusDone)
		all = append(all, a.Data...)
		if len(all) >= int(a.Total) {
			return all
		}
	}
}

// A noisyPort changes, drops and doubles bytes that are written to it, and adds
// some: one in so many each.
type noisyPort struct {
	io.ReadWriteCloser
	mu     sync.Mutex
	random *rand.Rand
	oneIn  int
}

func newNoisyPort(port io.ReadWriteCloser, seed uint64, oneIn int) *noisyPort {
	return &noisyPort{ReadWriteCloser: port, random: rand.New(rand.NewPCG(seed, 0)), oneIn: oneIn}
}

func (p *noisyPort) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out bytes.Buffer
	for _, b := range data {
		switch p.random.IntN(4 * p.oneIn) {
		case 0:
			out.WriteByte(b ^ 1<<p.random.IntN(8))
		case 1: // lost
		case 2:
			out.Write([]byte{b, b})
		case 3:
			out.Write([]byte{byte(p.random.Uint32()), b})
		default:
			out.WriteByte(b)
		}
	}
	_, err := p.ReadWriteCloser.Write(out.Bytes())
	return len(data), err
}

// events collects what a gateway tells.
type events struct {
	mu  sync.Mutex
	all []Event
}

func (e *events) log(event Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

// count returns how many events of a name there were.
func (e *events) count(name string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		if event.Event == name {
			n++
		}
	}
	return n
}

func (e *events) wait(t testing.TB, name string, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); e.count(name) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no event %q; there were %v", name, e.all)
		}
	}
}

// newGateway returns a gateway for a server; tests serve lines of their own.
func newGateway(t testing.TB, server client.Server, lines ...string) (*Gateway, *events) {
	t.Helper()
	if len(lines) == 0 {
		lines = []string{"/dev/none"}
	}
	var said events
	g, err := New(Config{Server: server, Lines: lines, Log: said.log})
	if err != nil {
		t.Fatal(err)
	}
	return g, &said
}

// connect serves a line in memory and returns the device's end.
func connect(t testing.TB, g *Gateway, wrap func(io.ReadWriteCloser) io.ReadWriteCloser) io.ReadWriteCloser {
	t.Helper()
	ours, theirs := net.Pipe()
	serve(t, g, wrap(theirs))
	t.Cleanup(func() { ours.Close() })
	return wrap(ours)
}

func clean(port io.ReadWriteCloser) io.ReadWriteCloser { return port }

// serve serves a line until the test ends.
func serve(t testing.TB, g *Gateway, port io.ReadWriteCloser) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.serve(ctx, "test", port, newBounds())
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}
