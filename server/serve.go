package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/console"
	"github.com/secure-ota/secure-ota/internal/front"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/protocol/native"
)

// Limits of a connection (docs/spec/device-protocol.md, section 8). The body
// of a request gets what the header left of requestTimeout; uploads and
// firmware streams move their deadlines along as they make progress.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 20 * time.Second
	answerTimeout  = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeader      = 8 << 10 // bytes
	maxStreams     = 32      // requests at once on one connection of HTTP/2
)

// routes puts the protocols side by side.
func (s *Server) routes() http.Handler {
	management := api.NewHandler(s.management, s.metrics)
	operated, page := s.operated(management, slog.LevelInfo), s.operated(console.New(s.management, s.provider, s.cfg.Log, s.cfg.Now), slog.LevelDebug)
	// No ServeMux: it would answer an untidy path with a redirect, and devices
	// follow none.
	return proxies(s.cfg.TrustedProxies).unwrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch name := r.URL.Path; {
		case name == "" || name != "/" && path.Clean(name) != name:
			protocol.WriteProblem(w, http.StatusNotFound, protocol.Problem{Error: "no such object", RequestID: protocol.RequestID(w)})
		case strings.HasPrefix(name, "/v1/"):
			s.device.ServeHTTP(w, r)
		case strings.HasPrefix(name, "/api/"), name == "/metrics":
			operated.ServeHTTP(w, r)
		case s.health.serve(w, r):
		default:
			page.ServeHTTP(w, r)
		}
	}))
}

// Handler returns everything the server serves, for an http.Server of the
// caller's own. That one has to have the timeouts.
func (s *Server) Handler() http.Handler { return s.handler }

// Listen opens the listeners. A port of 0 becomes a free one.
func (s *Server) Listen(ctx context.Context) (err error) {
	var config net.ListenConfig
	if s.cfg.TLSAddress != NoTLS {
		if s.tls, err = config.Listen(ctx, "tcp", s.cfg.TLSAddress); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	if s.cfg.PlainAddress != "" {
		if s.plain, err = config.Listen(ctx, "tcp", s.cfg.PlainAddress); err != nil {
			return errors.Join(fmt.Errorf("listen: %w", err), closeListener(s.tls))
		}
	}
	if s.cfg.MetricsAddress != "" {
		if s.monitor, err = config.Listen(ctx, "tcp", s.cfg.MetricsAddress); err != nil {
			return errors.Join(fmt.Errorf("listen: %w", err), closeListener(s.tls), closeListener(s.plain))
		}
	}
	return nil
}

func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// TLSAddr returns the address of the TLS listener, after Listen; nil if there
// is none.
func (s *Server) TLSAddr() net.Addr { return addrOf(s.tls) }

// PlainAddr returns the address of the plain listener, after Listen; nil if
// there is none.
func (s *Server) PlainAddr() net.Addr { return addrOf(s.plain) }

// MetricsAddr returns the address of the listener for monitoring, after Listen;
// nil if there is none.
func (s *Server) MetricsAddr() net.Addr { return addrOf(s.monitor) }

func addrOf(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// Run listens, unless Listen was called, serves until ctx ends, and closes the
// server.
func (s *Server) Run(ctx context.Context) (err error) {
	if s.tls == nil && s.plain == nil {
		err = s.Listen(ctx)
	}
	if err == nil {
		err = s.Serve(ctx)
	}
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

// Serve serves the listeners until ctx ends. Then it takes no more
// connections, lets running requests come to their end for as long as
// Config.Grace, and cuts what is left.
func (s *Server) Serve(ctx context.Context) error {
	var servers []*http.Server
	failed := make(chan error, 3)
	start := func(serve func(*http.Server) error) {
		h := s.httpServer()
		servers = append(servers, h)
		go func() { failed <- serve(h) }()
	}
	if s.tls != nil {
		start(func(h *http.Server) error {
			h.TLSConfig = &tls.Config{
				Certificates: []tls.Certificate{s.certificate}, MinVersion: tls.VersionTLS12,
				// Without the last, the handshake of a client that names just HTTP/1.0 would fail.
				NextProtos: []string{"h2", "http/1.1", "http/1.0"},
			}
			return h.ServeTLS(listener{s.tls, s.connections}, "", "")
		})
	}
	var checks *front.Listener
	if s.plain != nil {
		checks = s.answerChecks(listener{s.plain, s.connections})
		start(func(h *http.Server) error { return h.Serve(checks) })
	}
	if len(servers) == 0 {
		return fmt.Errorf("serve: %w: call Listen first", ErrConfig)
	}
	if s.monitor != nil {
		start(func(h *http.Server) error {
			h.Handler = http.HandlerFunc(s.monitored)
			return h.Serve(s.monitor)
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, s.shutdown(servers, checks))
}

// answerChecks answers update checks on plain connections, which are nearly
// all that devices send. The Listener that it returns has the rest.
func (s *Server) answerChecks(l net.Listener) *front.Listener {
	return front.Listen(l, front.Config{
		// What a proxy says of its client is for net/http to read.
		Mine: func(conn net.Conn) bool {
			return !crowded(conn) && !proxies(s.cfg.TrustedProxies).trust(conn.RemoteAddr().String())
		},
		Check: s.device.Check, Fail: s.device.Fail, Log: s.cfg.Log,
	})
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           refuseCrowded(s.handler),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return markCrowded(native.WithConn(ctx, conn), conn)
		},
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// shutdown ends all servers within one Grace. checks may be nil.
func (s *Server) shutdown(servers []*http.Server, checks *front.Listener) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Grace)
	defer cancel()
	ended := make(chan error, len(servers)+1)
	for _, h := range servers {
		go func() {
			err := h.Shutdown(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				s.cfg.Log.Warn("server: requests were still running and are cut", "after", s.cfg.Grace)
				err = h.Close()
			}
			ended <- err
		}()
	}
	go func() {
		if checks == nil {
			ended <- nil
			return
		}
		err := checks.Wait(ctx) // its server closes it
		if errors.Is(err, context.DeadlineExceeded) {
			s.cfg.Log.Warn("server: update checks were still running and are cut", "after", s.cfg.Grace)
			checks.Cut()
			err = nil
		}
		ended <- err
	}()
	var errs []error
	for range cap(ended) {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}
