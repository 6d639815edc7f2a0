package native

import (
	"fmt"
	"net/http"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

func (h *Handler) enrol(w http.ResponseWriter, r *http.Request) error {
	if r.TLS == nil {
		return errInsecure // the answer carries the device's keys
	}
	if protocol.MediaType(r) != typeJSON {
		return errMediaType
	}
	if wait := h.enrols.Allow(protocol.Address(r), h.now()); wait > 0 {
		return &fleet.RateError{Wait: wait}
	}
	raw, err := protocol.Body(r, MaxBody)
	if err != nil {
		return err
	}
	var req fleet.Enrolment
	if err := protocol.DecodeJSON(raw, &req); err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	provisioning, err := h.fleet.Enrol(r.Context(), req, r.RemoteAddr)
	if err != nil {
		return err
	}
	h.metrics.Enrolled()
	noStore(w)
	return protocol.WriteJSON(w, http.StatusOK, provisioning)
}
