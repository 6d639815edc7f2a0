package api

import (
	"fmt"
	"net/http"

	"github.com/secure-ota/secure-ota/internal/rollout"
)

func (h *Handler) rolloutRoutes() {
	h.handle("POST", "/api/v1/rollouts", func(m local, w http.ResponseWriter, r *http.Request) error {
		var spec rollout.Spec
		if err := readJSON(r, &spec); err != nil {
			return err
		}
		return created(w)(m.CreateRollout(r.Context(), spec))
	})
	h.handle("POST", "/api/v1/rollouts/plan", func(m local, w http.ResponseWriter, r *http.Request) error {
		var spec rollout.Spec
		if err := readJSON(r, &spec); err != nil {
			return err
		}
		return answer(w)(m.PlanRollout(r.Context(), spec))
	})
	h.handle("GET", "/api/v1/rollouts", func(m local, w http.ResponseWriter, r *http.Request) error {
		limit, err := limitOf(r)
		if err != nil {
			return err
		}
		state, err := oneOf(r, "state", rollout.States...)
		if err != nil {
			return err
		}
		q := r.URL.Query()
		return answer(w)(m.Rollouts(r.Context(), rollout.Query{
			DeviceType: q.Get("device_type"), State: state, After: q.Get("after"), Limit: limit,
		}))
	})
	h.handle("GET", "/api/v1/rollouts/{name}", func(m local, w http.ResponseWriter, r *http.Request) error {
		return answer(w)(m.Rollout(r.Context(), r.PathValue("name")))
	})
	h.handle("GET", "/api/v1/rollouts/{name}/devices", func(m local, w http.ResponseWriter, r *http.Request) error {
		limit, err := limitOf(r)
		if err != nil {
			return err
		}
		state, err := oneOf(r, "state", rollout.DeviceStates...)
		if err != nil {
			return err
		}
		q := r.URL.Query()
		return answer(w)(m.RolloutDevices(r.Context(), r.PathValue("name"), rollout.DeviceQuery{
			State: state, After: q.Get("after"), Limit: limit,
		}))
	})
	h.handle("POST", "/api/v1/rollouts/{name}/{action}", func(m local, w http.ResponseWriter, r *http.Request) error {
		var body whyJSON
		if err := readJSON(r, &body); err != nil {
			return err
		}
		return answer(w)(m.ActOnRollout(r.Context(), r.PathValue("name"), rollout.Action(r.PathValue("action")), body.Why))
	})
	h.handle("GET", "/api/v1/device-types", func(m local, w http.ResponseWriter, r *http.Request) error {
		return answer(w)(m.DeviceTypes(r.Context()))
	})
	h.handle("GET", "/api/v1/device-types/{type}", func(m local, w http.ResponseWriter, r *http.Request) error {
		return answer(w)(m.DeviceType(r.Context(), r.PathValue("type")))
	})
	h.handle("PUT", "/api/v1/device-types/{type}", func(m local, w http.ResponseWriter, r *http.Request) error {
		var settings rollout.TypeSettings
		if err := readJSON(r, &settings); err != nil {
			return err
		}
		if name := r.PathValue("type"); settings.DeviceType != "" && settings.DeviceType != name {
			return fmt.Errorf("device type %s: %w: the body is about %q", name, ErrInvalid, settings.DeviceType)
		}
		settings.DeviceType = r.PathValue("type")
		return answer(w)(m.SetDeviceType(r.Context(), settings))
	})
}
