package api

import "net/http"

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
	h.handle("GET", "/api/v1/fleet/summary", func(m local, w http.ResponseWriter, r *http.Request) error {
		q := r.URL.Query()
		return answer(w)(m.FleetSummary(r.Context(), q.Get("filter"), q.Get("label")))
	})
}
