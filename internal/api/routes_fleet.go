package api

import (
	"net/http"

	"github.com/secure-ota/secure-ota/internal/fleet"
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
		return answer(w)(m.FleetSummary(r.Context(), q.Get("filter"), q.Get("label")))
	})
}
