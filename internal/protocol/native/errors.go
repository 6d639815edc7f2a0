package native

import (
	"errors"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/repository"
)

// Refusals that only this protocol knows.
var (
	errNotFound  = errors.New("no such object")
	errMethod    = errors.New("method not allowed")
	errMediaType = errors.New("Content-Type is neither application/cose nor application/json")
	errInsecure  = errors.New("this needs TLS")
)

// storageRetry is when a client comes again after storage failed.
const storageRetry = 30 * time.Second

// statuses maps errors to answers; the first that matches counts. words is all
// that the client learns: the rest of an error is for the log. Empty words
// stand for the error's own, which speaks of nothing but the request.
var statuses = []struct {
	err    error
	status int
	reason reason.Reason
	words  string
}{
	{fleet.ErrUnauthenticated, http.StatusUnauthorized, reason.BadMAC, "not authenticated"},
	{reason.BadMAC, http.StatusUnauthorized, reason.BadMAC, "not authenticated"},
	{fleet.ErrKeyed, http.StatusForbidden, reason.Unauthenticated, "the device has a key and must use it"},
	{errInsecure, http.StatusForbidden, 0, "this needs TLS"},
	{fleet.ErrStorage, http.StatusServiceUnavailable, 0, "cannot be stored now"},
	{repository.ErrUnavailable, http.StatusServiceUnavailable, 0, "cannot be read now"},
	{errNotFound, http.StatusNotFound, 0, "no such object"},
	{repository.ErrNotFound, http.StatusNotFound, 0, "no such object"},
	{errMethod, http.StatusMethodNotAllowed, 0, "method not allowed"},
	{errMediaType, http.StatusUnsupportedMediaType, 0, "Content-Type is neither application/cose nor application/json"},
	{errRange, http.StatusRequestedRangeNotSatisfiable, 0, ""},
	{fleet.ErrInvalid, http.StatusBadRequest, reason.InvalidField, ""},
	{reason.TooLarge, http.StatusRequestEntityTooLarge, reason.TooLarge, ""},
	{reason.Malformed, http.StatusBadRequest, reason.Malformed, ""},
	{reason.WrongKind, http.StatusBadRequest, reason.WrongKind, ""},
	{reason.Unsupported, http.StatusBadRequest, reason.Unsupported, ""},
	{reason.InvalidField, http.StatusBadRequest, reason.InvalidField, ""},
}

// Fail answers with an error.
func (h *Handler) Fail(w http.ResponseWriter, r *http.Request, err error) {
	id := protocol.RequestID(w)
	var rate *fleet.RateError
	if errors.As(err, &rate) {
		protocol.SetRetryAfter(w, rate.Wait)
		h.metrics.Refused(http.StatusTooManyRequests, reason.None)
		protocol.WriteProblem(w, http.StatusTooManyRequests, protocol.Problem{Error: "too many requests", RequestID: id})
		return
	}
	status, p := http.StatusInternalServerError, protocol.Problem{Error: "internal error", Reason: reason.Internal, RequestID: id}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			status, p.Reason, p.Error = s.status, s.reason, s.words
			break
		}
	}
	if p.Error == "" {
		p.Error = err.Error()
	}
	if counted(status) && !errors.Is(err, fleet.ErrRecorded) {
		h.fleet.Refused(protocol.Address(r), http.StatusText(status))
	}
	h.metrics.Refused(status, p.Reason)
	switch {
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
		h.log.Info("native: refused", "request", id, "address", r.RemoteAddr, "path", r.URL.Path, "error", err)
	case status == http.StatusServiceUnavailable:
		protocol.SetRetryAfter(w, storageRetry)
		h.log.Error("native: not stored", "request", id, "path", r.URL.Path, "error", err)
	case status >= http.StatusInternalServerError:
		h.log.Error("native: failed", "request", id, "path", r.URL.Path, "error", err)
	}
	protocol.WriteProblem(w, status, p)
}

// counted says whether a refusal is counted for the audit log. That an object
// is not there is no refusal.
func counted(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge:
		return true
	}
	return false
}
