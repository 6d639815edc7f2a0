package api

import (
	"fmt"
	"io"
	"net/http"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/internal/sbom"
)

// maxImport is the longest page of devices, in bytes: MaxImport of them with
// everything as long as it may be.
const maxImport = 2 << 20

func (h *Handler) fleetRoutes() {
	h.handle("PATCH", "/api/v1/devices/{type}/{id}", func(m local, w http.ResponseWriter, r *http.Request) error {
		var body editJSON
		if err := readJSON(r, &body); err != nil {
			return err
		}
		return answer(w)(m.EditDevice(r.Context(), refOf(r), body.Edit, body.Why))
	})
	h.handle("GET", "/api/v1/devices/{type}/{id}/history", func(m local, w http.ResponseWriter, r *http.Request) error {
		before, err := number(r, "before")
		if err != nil {
			return err
		}
		limit, err := limitOf(r)
		if err != nil {
			return err
		}
		return answer(w)(m.DeviceHistory(r.Context(), refOf(r), HistoryQuery{before, limit}))
	})
	h.handle("POST", "/api/v1/devices/edit", func(m local, w http.ResponseWriter, r *http.Request) error {
		var body EditDevices
		if err := readJSON(r, &body); err != nil {
			return err
		}
		return answer(w)(m.EditDevices(r.Context(), body))
	})
	h.handle("POST", "/api/v1/devices/import", func(m local, w http.ResponseWriter, r *http.Request) error {
		var body fleet.Import
		if err := readLongJSON(r, maxImport, &body); err != nil {
			return err
		}
		return answer(w)(m.ImportDevices(r.Context(), body))
	})
	h.handle("GET", "/api/v1/fleet/summary", func(m local, w http.ResponseWriter, r *http.Request) error {
		q := r.URL.Query()
		return answer(w)(m.FleetSummary(r.Context(), SummaryQuery{q.Get("device_type"), q.Get("filter"), q.Get("label")}))
	})
	h.handle("GET", "/api/v1/fleet/exposure", func(m local, w http.ResponseWriter, r *http.Request) error {
		q := r.URL.Query()
		return answer(w)(m.Exposure(r.Context(), ExposureQuery{CVE: q.Get("cve"), DeviceType: q.Get("device_type"), Filter: q.Get("filter")}))
	})
	h.handle("POST", "/api/v1/sboms", func(m local, w http.ResponseWriter, r *http.Request) error {
		if err := m.allowSome(r.Context(), auth.Publisher, "sbom.add"); err != nil { // before it is held in memory
			return err
		}
		raw, err := readSBOM(w, r)
		if err != nil {
			return err
		}
		return created(w)(m.AddSBOM(r.Context(), raw))
	})
	h.handle("GET", "/api/v1/releases/{digest}/sbom", func(m local, w http.ResponseWriter, r *http.Request) error {
		identity, err := digestOf(r)
		if err != nil {
			return err
		}
		raw, err := m.ReleaseSBOM(r.Context(), identity, r.URL.Query().Get("name"))
		if err != nil {
			return err
		}
		info, err := sbom.Parse(raw)
		if err != nil {
			return err
		}
		protocol.WriteBytes(w, http.StatusOK, info.Format.MediaType(), raw)
		return nil
	})
}

// readSBOM takes its time, as an upload does: it may be long.
func readSBOM(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if protocol.MediaType(r) != typeJSON {
		return nil, fmt.Errorf("SBOM: %w: want %s", ErrMediaType, typeJSON)
	}
	raw, err := io.ReadAll(io.LimitReader(protocol.Patient(w, r), sbom.MaxSize+1))
	if err == nil && len(raw) > sbom.MaxSize {
		err = reason.TooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("read SBOM: %w", err)
	}
	return raw, nil
}
