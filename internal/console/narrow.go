package console

import (
	"slices"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// ownType is the device type of which an operator sees and edits devices: the
// one that was asked for, or the first of his; empty for one who may see all.
func (v *visit) ownType() string {
	own := v.actor.Scope.DeviceTypes
	if len(own) == 0 {
		return ""
	}
	if asked := v.FormValue("type"); slices.Contains(own, asked) {
		return asked
	}
	return own[0]
}

// inOwnTypes lists something of every device type that the operator may see: at
// once for one who may see all.
func inOwnTypes[T any](v *visit, list func(deviceType string) ([]T, error)) (all []T, err error) {
	own := v.actor.Scope.DeviceTypes
	if len(own) == 0 {
		return list("")
	}
	for _, t := range own {
		some, err := list(t)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (v *visit) releases() ([]api.Release, error) {
	return inOwnTypes(v, func(t string) ([]api.Release, error) { return v.Releases(v.ctx(), t) })
}

func (v *visit) keysets() ([]api.Keyset, error) {
	return inOwnTypes(v, func(t string) ([]api.Keyset, error) { return v.Keysets(v.ctx(), t) })
}

func (v *visit) typeSettings() ([]rollout.TypeSettings, error) {
	return inOwnTypes(v, func(t string) ([]rollout.TypeSettings, error) {
		if t == "" {
			return v.DeviceTypes(v.ctx())
		}
		settings, err := v.DeviceType(v.ctx(), t)
		return []rollout.TypeSettings{settings}, err
	})
}
