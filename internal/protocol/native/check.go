package native

import (
	"fmt"
	"net/http"
	"time"

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
	start := h.metrics.CheckStarted()
	mediaType, raw, err := form(r)
	if err != nil {
		return err
	}
	if mediaType == typeJSON {
		return h.checkJSON(w, r, raw, start)
	}
	sender := h.fleet.Sender(r.RemoteAddr)
	req, err := trust.OpenCheckRequest(raw, sender.UpKey)
	if err != nil {
		return sender.Invalid(r.Context(), err)
	}
	answer, err := sender.Check(r.Context(), req)
	if err != nil {
		return err
	}
	key, err := sender.DownKey()
	if err != nil {
		return err
	}
	sealed, err := answer.Seal(key)
	if err != nil {
		return fmt.Errorf("answer check of device %s: %w", req.Device, err)
	}
	noStore(w)
	protocol.WriteBytes(w, http.StatusOK, typeCOSE, sealed)
	h.metrics.Checked(!answer.ManifestHash.IsZero(), start)
	return nil
}

func (h *Handler) checkJSON(w http.ResponseWriter, r *http.Request, raw []byte, start time.Time) error {
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
