package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/reason"
)

// Limits of what is read of a request.
const maxBody = 64 << 10 // bytes of a JSON body

// A Handler is the management API over HTTP.
type Handler struct {
	service *Service
	log     *slog.Logger
	metrics http.Handler
	mux     *http.ServeMux
	served  []Route
}

// A Route is a method of a path, as http.ServeMux has its patterns.
type Route struct{ Method, Path string }

// Routes returns everything that is served.
func (h *Handler) Routes() []Route { return h.served }

// NewHandler returns a handler of the paths under /api/v1/, and of /metrics,
// which metrics answers for whoever may see it; nil: there is no such path.
func NewHandler(service *Service, metrics http.Handler) *Handler {
	h := &Handler{service: service, log: service.cfg.Log, metrics: metrics, mux: http.NewServeMux()}
	h.routes()
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil { // the token would be anybody's on the way
		h.fail(w, r, ErrTLSRequired)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// serve handles one method of one path for an authenticated actor.
type serve func(m local, w http.ResponseWriter, r *http.Request) error

func (h *Handler) handle(method, path string, serve serve) {
	h.served = append(h.served, Route{method, path})
	h.mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
		if err := h.serve(serve, w, r); err != nil {
			h.fail(w, r, err)
		}
	})
}

func (h *Handler) serve(serve serve, w http.ResponseWriter, r *http.Request) error {
	token, err := auth.BearerToken(r)
	if err != nil {
		h.service.cfg.Fleet.Refused(protocol.Address(r), "operator")
		return fmt.Errorf("%w: %w", auth.ErrUnauthorized, err)
	}
	actor, err := h.service.Authenticate(r.Context(), token, r)
	if err != nil {
		return err
	}
	protocol.SetActor(w, actor.Name)
	return serve(local{h.service, actor}, w, r)
}

// fail answers with an error, by the table of codes.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	code, id := CodeOf(err), protocol.RequestID(w)
	p := protocol.Problem{Error: err.Error(), Code: code.Name, Reason: reason.Of(err), RequestID: id}
	if code.Name != refusedCode.Name && p.Reason == reason.Internal {
		p.Reason = reason.None
	}
	var rate *fleet.RateError
	if errors.As(err, &rate) {
		protocol.SetRetryAfter(w, rate.Wait)
	}
	if r.Context().Err() != nil { // who asked has gone: an upload that was interrupted, mostly
		h.log.Info("api: broken off", "request", id, "method", r.Method, "path", r.URL.Path, "error", err)
		return
	}
	switch code.Status {
	case http.StatusInternalServerError:
		h.log.Error("api: failed", "request", id, "method", r.Method, "path", r.URL.Path, "error", err)
		p.Error, p.Reason = "internal error", reason.Internal
	case http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		protocol.SetRetryAfter(w, 10*time.Second)
		h.log.Error("api: unavailable", "request", id, "method", r.Method, "path", r.URL.Path, "error", err)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
		h.log.Info("api: not authenticated", "request", id, "address", r.RemoteAddr)
	case http.StatusConflict:
		if code.Name == "busy" {
			protocol.SetRetryAfter(w, time.Second)
		}
	}
	protocol.WriteProblem(w, code.Status, p)
}
