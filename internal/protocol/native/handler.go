package native

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/metrics"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/repository"
)

// MaxBody is the longest body of a check, a report or an enrolment, in bytes.
const MaxBody = 4096

// Limits per address (docs/spec/device-protocol.md, section 8).
const (
	addressRate, addressBurst = 50, 500
	enrolRate, enrolBurst     = 1, 10
)

// A Config says what a Handler serves.
type Config struct {
	Fleet      *fleet.Fleet
	Repository *repository.Repository
	Log        *slog.Logger     // nil: discarded
	Now        func() time.Time // nil: time.Now
	Stall      time.Duration    // a reader that makes no progress for so long is cut; 0: 60 s
	Metrics    *metrics.Metrics // nil: nothing is counted
}

// A Handler is the device protocol. It is an http.Handler for both listeners:
// what must not travel in the clear it refuses on a connection without TLS.
type Handler struct {
	fleet      *fleet.Fleet
	repository *repository.Repository
	log        *slog.Logger
	now        func() time.Time
	stall      time.Duration
	metrics    *metrics.Metrics
	mux        *http.ServeMux

	requests *protocol.Limit[netip.Addr]
	enrols   *protocol.Limit[netip.Addr]
}

// New returns a handler of the paths under /v1/.
func New(cfg Config) *Handler {
	h := &Handler{
		fleet: cfg.Fleet, repository: cfg.Repository, log: cfg.Log, now: cfg.Now, stall: cfg.Stall, metrics: cfg.Metrics,
		mux:      http.NewServeMux(),
		requests: protocol.NewLimit[netip.Addr](addressRate, addressBurst),
		enrols:   protocol.NewLimit[netip.Addr](enrolRate, enrolBurst),
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.stall == 0 {
		h.stall = stallTime
	}
	h.handle("POST", "/v1/check", h.check)
	h.handle("POST", "/v1/report", h.report)
	h.handle("POST", "/v1/enrol", h.enrol)
	h.handle("GET", "/v1/manifest/{hash}", h.manifest)
	h.handle("GET", "/v1/keyset/{type}/{version}", h.keyset)
	h.handle("GET", "/v1/key/{id}", h.key)
	h.handle("GET", "/v1/firmware/{digest}", h.firmware)
	h.handle("GET", "/v1/release/{digest}", h.release)
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { h.Fail(w, r, errNotFound) })
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if wait := h.requests.Allow(protocol.Address(r), h.now()); wait > 0 {
		h.Fail(w, r, &fleet.RateError{Wait: wait})
		return
	}
	if r.TLS == nil && r.Header.Get("Authorization") != "" { // by now anybody on the way has it
		h.Fail(w, r, errInsecure)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// handle routes a path. Whatever fails is answered by one table (errors.go).
// GET serves HEAD as well.
func (h *Handler) handle(method, path string, serve func(http.ResponseWriter, *http.Request) error) {
	h.mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			h.Fail(w, r, err)
			return
		}
		h.served(r.Context(), r.Method, r.URL.Path, r.RemoteAddr)
	})
	allow := method
	if method == http.MethodGet {
		allow = "GET, HEAD"
	}
	h.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		h.Fail(w, r, errMethod)
	})
}

func (h *Handler) served(ctx context.Context, method, path, address string) {
	if h.log.Enabled(ctx, slog.LevelDebug) { // what follows is put together even if nobody reads it
		h.log.Debug("native: served", "method", method, "path", path, "address", address)
	}
}
