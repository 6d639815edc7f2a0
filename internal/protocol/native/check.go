package native

import (
	"context"
	"fmt"
	"net/http"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/trust"
)

// The two forms of check and report.
const (
	typeCOSE = "application/cose"
	typeJSON = "application/json"
)

// form reads the body of a check or report and says which form it has. JSON
// needs TLS: its token would be anybody's on the way.
func form(r *http.Request) (mediaType string, raw []byte, err error) {
	mediaType = protocol.MediaType(r)
	switch {
	case mediaType != typeCOSE && mediaType != typeJSON:
		return "", nil, errMediaType
	case mediaType == typeJSON && r.TLS == nil:
		return "", nil, errInsecure
	}
	raw, err = protocol.Body(r, MaxBody)
	return mediaType, raw, err
}

func (h *Handler) check(w http.ResponseWriter, r *http.Request) error {
	mediaType, raw, err := form(r)
	if err != nil {
		return err
	}
	if mediaType == typeJSON {
		return h.checkJSON(w, r, raw)
	}
	sealed, err := h.checkCOSE(r.Context(), r.RemoteAddr, raw)
	if err != nil {
		return err
	}
	noStore(w)
	protocol.WriteBytes(w, http.StatusOK, typeCOSE, sealed)
	return nil
}

// Check answers a check in COSE of at most MaxBody bytes that came on a plain
// connection from remote (host:port), as ServeHTTP does: it returns the body of
// the answer, or an error for Fail.
func (h *Handler) Check(ctx context.Context, remote string, raw []byte) (sealed []byte, err error) {
	if wait := h.requests.Allow(protocol.AddressOf(remote), h.now()); wait > 0 {
		return nil, &fleet.RateError{Wait: wait}
	}
	sealed, err = h.checkCOSE(ctx, remote, raw)
	if err == nil {
		h.served(ctx, http.MethodPost, "/v1/check", remote)
	}
	return sealed, err
}

func (h *Handler) checkCOSE(ctx context.Context, remote string, raw []byte) (sealed []byte, err error) {
	start := h.metrics.CheckStarted()
	sender := h.fleet.Sender(remote)
	req, err := trust.OpenCheckRequest(raw, sender.UpKey)
	if err != nil {
		return nil, sender.Invalid(ctx, err)
	}
	answer, err := sender.Check(ctx, req)
	if err != nil {
		return nil, err
	}
	key, err := sender.DownKey()
	if err != nil {
		return nil, err
	}
	if sealed, err = answer.Seal(key); err != nil {
		return nil, fmt.Errorf("answer check of device %s: %w", req.Device, err)
	}
	sender.Done()
	h.metrics.Checked(!answer.ManifestHash.IsZero(), start)
	return sealed, nil
}

func (h *Handler) checkJSON(w http.ResponseWriter, r *http.Request, raw []byte) error {
	start := h.metrics.CheckStarted()
	req, err := decodeCheckRequest(raw)
	if err != nil {
		return err
	}
	if err := h.authenticate(r, fleet.Ref{DeviceType: req.DeviceType, ID: req.Device}); err != nil {
		return err
	}
	answer, err := h.fleet.Check(r.Context(), req, r.RemoteAddr)
	if err != nil {
		return err
	}
	noStore(w)
	err = protocol.WriteJSON(w, http.StatusOK, encodeCheckResponse(answer))
	h.metrics.Checked(!answer.ManifestHash.IsZero(), start)
	return err
}

func (h *Handler) report(w http.ResponseWriter, r *http.Request) error {
	mediaType, raw, err := form(r)
	if err != nil {
		return err
	}
	sender, report := h.fleet.Sender(r.RemoteAddr), trust.Report{}
	if mediaType == typeJSON {
		report, err = decodeReport(raw)
		if err == nil {
			err = h.authenticate(r, fleet.Ref{DeviceType: report.DeviceType, ID: report.Device})
		}
	} else if report, err = trust.OpenReport(raw, sender.UpKey); err != nil {
		err = sender.Invalid(r.Context(), err)
	}
	if err != nil {
		return err
	}
	if err := sender.Report(r.Context(), report); err != nil {
		return err
	}
	h.metrics.Reported(report.Event)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// authenticate checks the bearer token of a device without a key.
func (h *Handler) authenticate(r *http.Request, ref fleet.Ref) error {
	token, err := auth.BearerToken(r)
	if err != nil {
		return fmt.Errorf("device %s: %w: %w", ref, fleet.ErrUnauthenticated, err)
	}
	return h.fleet.CheckToken(ref, token)
}

// noStoreValue is shared by all answers: nobody changes the values of headers.
var noStoreValue = []string{"no-store"}

func noStore(w http.ResponseWriter) { w.Header()["Cache-Control"] = noStoreValue }
