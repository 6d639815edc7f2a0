package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/client"
)

// A Config says which devices are brought to which server.
type Config struct {
	Server client.Server
	Lines  []string // a terminal's path, tcp:HOST:PORT or unix:PATH; one device each
	Baud   int      // of terminals; 0: DefaultBaud
	// Log is told what happens, from one goroutine at a time. May be nil.
	Log func(Event)
	Now func() time.Time // nil: time.Now
}

// DefaultBaud is the speed of a line of which nothing else was agreed, in bits
// a second.
const DefaultBaud = 115200

// maxBaud is faster than any UART.
const maxBaud = 50_000_000

// Time between two attempts to open a line. It grows while the line does not
// last.
const (
	minReopen = 200 * time.Millisecond
	maxReopen = 5 * time.Second
	lasting   = time.Second
)

// pingAfter is how long a server may be silent before it is pinged, and how long
// the ping may take: a dead connection is found within the time of one answer.
const pingAfter = 3 * time.Second

// A Gateway serves the devices at its lines.
type Gateway struct {
	cfg   Config
	http  *http.Client
	lines []lineAddress
	mu    sync.Mutex // of cfg.Log
}

// ErrConfig is wrapped by what is wrong with a Config.
var ErrConfig = errors.New("gateway")

// New checks the configuration. It opens nothing yet.
func New(cfg Config) (*Gateway, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Baud == 0 {
		cfg.Baud = DefaultBaud
	}
	if cfg.Baud < 0 || cfg.Baud > maxBaud {
		return nil, fmt.Errorf("%w: %d baud: want 1 to %d", ErrConfig, cfg.Baud, maxBaud)
	}
	if err := checkServer(cfg.Server); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	g := &Gateway{cfg: cfg}
	var err error
	if g.http, err = newClient(cfg.Server); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	seen := map[string]bool{}
	for _, text := range cfg.Lines {
		address, err := parseLine(text)
		if err != nil {
			return nil, err
		}
		if seen[text] {
			return nil, fmt.Errorf("%w: line %s is given twice: one device stands at each", ErrConfig, text)
		}
		seen[text] = true
		g.lines = append(g.lines, address)
	}
	if len(g.lines) == 0 {
		return nil, fmt.Errorf("%w: no line is given", ErrConfig)
	}
	return g, nil
}

func checkServer(s client.Server) error {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("server URL %q: want https://HOST:PORT, or http:// for a plain listener", s.URL)
	case u.User != nil: // it would be in the log, and is for nothing
		return fmt.Errorf("server URL %s: a gateway has no password", u.Redacted())
	case u.Scheme == "http" && (s.Fingerprint != "" || len(s.CA) > 0):
		return fmt.Errorf("server URL %s: a fingerprint or a CA is held against an https:// server only", s.URL)
	}
	return nil
}

// newClient returns a client for all lines. Over HTTP/2 they share a connection,
// and a server that lost its power leaves one that looks alive for a quarter of
// an hour: it is asked for a sign of life instead.
func newClient(s client.Server) (*http.Client, error) {
	c, err := s.HTTPClient()
	if err != nil {
		return nil, err
	}
	if t, ok := c.Transport.(*http.Transport); ok {
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter}
	}
	return c, nil
}

// Run serves until ctx ends. Lines that cannot be opened, or are lost, are
// tried again.
func (g *Gateway) Run(ctx context.Context) {
	defer g.http.CloseIdleConnections()
	var all sync.WaitGroup
	for _, address := range g.lines {
		all.Go(func() { g.keepOpen(ctx, address) })
	}
	all.Wait()
}

// keepOpen serves one line for as long as ctx lasts.
func (g *Gateway) keepOpen(ctx context.Context, address lineAddress) {
	bounds := newBounds()
	said := "" // why the line is not there, "" while it is
	for wait := minReopen; ctx.Err() == nil; {
		port, err := address.open(ctx, g.cfg.Baud)
		if err == nil {
			g.log(Event{Line: address.text, Event: "connected"})
			said = ""
			opened := time.Now()
			if err = g.serve(ctx, address.text, port, bounds); time.Since(opened) > lasting {
				wait = minReopen
			}
		}
		if ctx.Err() != nil {
			return
		}
		if why := err.Error(); why != said {
			g.log(Event{Line: address.text, Event: "lost", Text: why + "; trying again"})
			said = why
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, maxReopen)
	}
}

// log tells an event.
func (g *Gateway) log(e Event) {
	if g.cfg.Log == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	e.Time = g.cfg.Now()
	g.cfg.Log(e)
}

// serve serves a line that is open until it fails or ctx ends, and closes it.
func (g *Gateway) serve(ctx context.Context, name string, port io.ReadWriteCloser, b bounds) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { port.Close() })
	defer func() {
		stop()
		port.Close()
	}()
	s := newSession(port, newUpstream(g.cfg.Server.URL, g.http, b.requests), b.events, func(e Event) { e.Line = name; g.log(e) })
	return s.run(ctx)
}
