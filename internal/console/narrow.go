package console

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// ownType is the device type of which an operator sees devices: the one that
// was asked for, or the first of his; empty for one who may see all.
func (v *visit) ownType() string {
	own := v.actor.Scope.DeviceTypes
	if len(own) == 0 {
		return ""
	}
	if asked := v.query("type"); slices.Contains(own, asked) {
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

// countOwn counts the devices of the operator's own device types that a filter
// selects. The API has a summary only for who may see all types.
func (v *visit) countOwn(deviceTypes []string, filter, label string) (fleet.Summary, error) {
	var sum fleet.Summary
	for _, t := range deviceTypes {
		counted, err := v.countType(t, filter, label)
		if err != nil {
			return sum, err
		}
		if counted.Devices > 0 {
			sum.Devices += counted.Devices
			sum.Types = append(sum.Types, counted)
		}
	}
	return sum, nil
}

func (v *visit) countType(deviceType, filter, label string) (fleet.TypeSummary, error) {
	versions, states, keysets, hardware, labels := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	sum := fleet.TypeSummary{DeviceType: deviceType}
	for query := (api.DeviceQuery{DeviceType: deviceType, Filter: filter}); ; {
		list, err := v.Devices(v.ctx(), query)
		if err != nil {
			return sum, err
		}
		for _, d := range list {
			sum.Devices++
			versions[d.Version]++
			states[d.State]++
			keysets[strconv.Itoa(int(d.KeysetVersion))]++
			hardware[d.HardwareRevision]++
			labels[d.Labels[label]]++
		}
		if len(list) < api.MaxPage {
			break
		}
		query = query.Next(list)
	}
	sum.Versions, sum.States, sum.Keysets, sum.Hardware = facetOf(versions), facetOf(states), facetOf(keysets), facetOf(hardware)
	if label != "" {
		sum.Labels = facetOf(labels)
	}
	return sum, nil
}

func facetOf(counts map[string]int) (f fleet.Facet) {
	for _, value := range slices.Sorted(maps.Keys(counts)) {
		f.Counts = append(f.Counts, fleet.Count{Value: value, Devices: counts[value]})
	}
	slices.SortStableFunc(f.Counts, func(a, b fleet.Count) int { return cmp.Compare(b.Devices, a.Devices) })
	return f
}
