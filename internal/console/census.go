package console

import (
	"context"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// A census counts the devices of the fleet by type.
type census []*typeCensus

// typeCensus counts the devices of one type.
type typeCensus struct {
	DeviceType string
	Devices    int
	Versions   map[string]int // by version; empty: what runs is not published
	States     map[string]int
	Keysets    map[uint32]int
}

func takeCensus(ctx context.Context, m api.Management) (census, error) {
	var c census
	for after := (fleet.Ref{}); ; {
		list, err := m.Devices(ctx, api.DeviceQuery{After: after})
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			if len(c) == 0 || c[len(c)-1].DeviceType != d.DeviceType { // devices come by type
				c = append(c, &typeCensus{DeviceType: d.DeviceType, Versions: map[string]int{}, States: map[string]int{}, Keysets: map[uint32]int{}})
			}
			t := c[len(c)-1]
			t.Devices++
			t.Versions[d.Version]++
			t.States[d.State]++
			t.Keysets[d.KeysetVersion]++
		}
		if len(list) < api.MaxPage {
			return c, nil
		}
		after = list[len(list)-1].Ref
	}
}

// of returns the count of a type, an empty one if it has no devices.
func (c census) of(deviceType string) *typeCensus {
	for _, t := range c {
		if t.DeviceType == deviceType {
			return t
		}
	}
	return &typeCensus{DeviceType: deviceType}
}

// inStates counts the devices of all types that are in one of the states.
func (c census) inStates(states ...string) (n int) {
	for _, t := range c {
		for _, state := range states {
			n += t.States[state]
		}
	}
	return n
}
