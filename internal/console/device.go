package console

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// maxLife is how many events of a device's life one page shows.
const maxLife = 50

// deviceLife is a device and what happened to it.
type deviceLife struct {
	api.Device
	Labels   []label
	Life     []api.LifeEvent
	Older    int64    // seq before which there is more; 0: there is not
	Versions []string // to which it could be pinned
	MayPin   bool     // or why not: a critical type's devices only by an administrator
}

// label is one group label of a device.
type label struct{ Key, Value, Href string }

func labelsOf(labels map[string]string) (list []label) {
	for key, value := range labels {
		list = append(list, label{key, value, devicesURL(equal("label."+key, value))})
	}
	slices.SortFunc(list, func(a, b label) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

func refOf(v *visit) fleet.Ref {
	return fleet.Ref{DeviceType: v.PathValue("type"), ID: v.PathValue("id")}
}

func deviceURL(ref fleet.Ref) string { return "/devices/" + ref.DeviceType + "/" + ref.ID }

func showDevice(v *visit) (*page, error) {
	d, err := v.Device(v.ctx(), refOf(v))
	if err != nil {
		return nil, err
	}
	life := &deviceLife{Device: d, Labels: labelsOf(d.Labels)}
	before, _ := strconv.ParseInt(v.query("before"), 10, 64)
	life.Life, err = v.DeviceHistory(v.ctx(), d.Ref, api.HistoryQuery{Before: max(before, 0), Limit: maxLife + 1})
	if err != nil {
		return nil, err
	}
	if len(life.Life) > maxLife {
		life.Life = life.Life[:maxLife]
		life.Older = life.Life[maxLife-1].Seq
	}
	releases, err := v.Releases(v.ctx(), d.DeviceType)
	for _, r := range releases {
		if version := r.Version.String(); r.Withdrawal == nil && r.Component == "" && !slices.Contains(life.Versions, version) {
			life.Versions = append(life.Versions, version)
		}
	}
	if err != nil {
		return nil, err
	}
	life.MayPin, err = mayPin(v, d.DeviceType)
	return &page{Title: d.ID, Section: "devices", Data: life}, err
}

// mayPin mirrors the API's rule about pins: they go past the second person whom
// a critical type waits for.
func mayPin(v *visit, deviceType string) (bool, error) {
	if v.actor.Role >= auth.Administrator {
		return true, nil
	}
	settings, err := v.DeviceType(v.ctx(), deviceType)
	if errors.Is(err, api.ErrNotFound) { // no keyset yet, so nothing to be pinned to
		return true, nil
	}
	return settings.Offer != rollout.Rollouts || !settings.Critical, err
}

func revokeDevice(v *visit) (string, error) {
	return deviceURL(refOf(v)) + "?done=revoked", v.RevokeDevice(v.ctx(), refOf(v), v.field("why"))
}

func retryDevice(v *visit) (string, error) {
	return deviceURL(refOf(v)) + "?done=retry", v.RetryDevice(v.ctx(), refOf(v))
}
