package console

import (
	"strconv"

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

// takeCensus counts the devices that the operator may see.
func takeCensus(v *visit) (census, error) {
	sum, err := v.summary(api.SummaryQuery{})
	if err != nil {
		return nil, err
	}
	var c census
	for _, t := range sum.Types {
		of := &typeCensus{DeviceType: t.DeviceType, Devices: t.Devices, Versions: countsOf(t.Versions), States: countsOf(t.States), Keysets: map[uint32]int{}}
		for _, k := range t.Keysets.Counts {
			version, _ := strconv.ParseUint(k.Value, 10, 32)
			of.Keysets[uint32(version)] = k.Devices
		}
		c = append(c, of)
	}
	return c, nil
}

func countsOf(f fleet.Facet) map[string]int {
	m := map[string]int{}
	for _, c := range f.Counts {
		m[c.Value] = c.Devices
	}
	return m
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
