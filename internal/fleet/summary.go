package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/secure-ota/secure-ota/internal/filter"
)

// maxCounts bounds the values of one facet and the cohorts of a summary: a
// label may have a value of its own on each device.
const maxCounts = 1000

// A Summary counts devices by what they are and do.
type Summary struct {
	Devices int           `json:"devices"`
	Types   []TypeSummary `json:"types"`   // by name
	Cohorts []Cohort      `json:"cohorts"` // the largest first, at most 1,000
}

// A TypeSummary counts the devices of one type.
type TypeSummary struct {
	DeviceType string `json:"device_type"`
	Devices    int    `json:"devices"`
	Versions   Facet  `json:"versions"` // empty value: runs what is not published
	States     Facet  `json:"states"`
	Keysets    Facet  `json:"keysets"`
	Hardware   Facet  `json:"hardware_revisions"`
	Labels     Facet  `json:"labels"` // values of the label asked for; empty value: without
}

// A Facet counts devices by one thing.
type Facet struct {
	Counts []Count `json:"counts"` // the most devices first, at most 1,000
	Others int     `json:"others"` // devices with values that are not in Counts
}

// A Count is how many devices have a value.
type Count struct {
	Value   string `json:"value"`
	Devices int    `json:"devices"`
}

// A Cohort is devices that are alike in what decides which releases they can
// take.
type Cohort struct {
	DeviceType       string `json:"device_type"`
	Version          string `json:"version"` // empty: runs what is not published
	KeysetVersion    uint32 `json:"keyset_version"`
	HardwareRevision string `json:"hardware_revision"`
	Level            Level  `json:"level"`
	Devices          int    `json:"devices"`
	Example          string `json:"example"` // the id of one of them
}

// Summarize counts the devices of a type, of all types if it is empty, that a
// filter selects, in one pass. label is the key of the label that is counted;
// empty: none is.
func (f *Fleet) Summarize(deviceType string, wanted *filter.Filter, label string) (Summary, error) {
	if err := f.whole(); err != nil {
		return Summary{}, fmt.Errorf("count devices: %w", err)
	}
	s, c := f.subject(nil), counter{label: label, types: map[string]*typeCounter{}, cohorts: map[Cohort]*counted{}}
	f.each(deviceType, Ref{}, func(d *Device) bool {
		s.Device = d
		if wanted.Match(s) {
			c.add(s)
		}
		return true
	})
	return c.summary(), nil
}

type counter struct {
	label   string
	types   map[string]*typeCounter
	cohorts map[Cohort]*counted // without the last two fields
}

type typeCounter struct {
	devices                              int
	versions, states, hardware, labelled map[string]int
	keysets                              map[uint32]int
}

type counted struct {
	devices int
	example string
}

func (c *counter) add(s *subject) {
	t, ok := c.types[s.DeviceType]
	if !ok {
		t = &typeCounter{0, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[uint32]int{}}
		c.types[s.DeviceType] = t
	}
	version := s.Version(filter.Version).String()
	t.devices++
	t.versions[version]++
	t.states[string(s.State(s.now, s.retry))]++
	t.hardware[s.HardwareRevision]++
	t.keysets[s.KeysetVersion]++
	if c.label != "" {
		t.labelled[s.Labels[c.label]]++
	}
	key := Cohort{
		DeviceType: s.DeviceType, Version: version, KeysetVersion: s.KeysetVersion,
		HardwareRevision: s.HardwareRevision, Level: s.Device.Level,
	}
	of, ok := c.cohorts[key]
	if !ok {
		of = &counted{example: s.ID}
		c.cohorts[key] = of
	}
	of.devices++
}

func (c *counter) summary() Summary {
	sum := Summary{Types: []TypeSummary{}, Cohorts: []Cohort{}}
	for _, name := range slices.Sorted(maps.Keys(c.types)) {
		t := c.types[name]
		keysets := map[string]int{}
		for version, n := range t.keysets {
			keysets[strconv.FormatUint(uint64(version), 10)] = n
		}
		sum.Devices += t.devices
		sum.Types = append(sum.Types, TypeSummary{
			name, t.devices, facetOf(t.versions), facetOf(t.states), facetOf(keysets), facetOf(t.hardware), facetOf(t.labelled),
		})
	}
	for cohort, of := range c.cohorts {
		cohort.Devices, cohort.Example = of.devices, of.example
		sum.Cohorts = append(sum.Cohorts, cohort)
	}
	slices.SortFunc(sum.Cohorts, func(a, b Cohort) int {
		return cmp.Or(b.Devices-a.Devices, strings.Compare(a.DeviceType, b.DeviceType), strings.Compare(a.Example, b.Example))
	})
	sum.Cohorts = sum.Cohorts[:min(len(sum.Cohorts), maxCounts)]
	return sum
}

func facetOf(devices map[string]int) Facet {
	f := Facet{Counts: []Count{}}
	for value, n := range devices {
		f.Counts = append(f.Counts, Count{value, n})
	}
	slices.SortFunc(f.Counts, func(a, b Count) int {
		return cmp.Or(b.Devices-a.Devices, strings.Compare(a.Value, b.Value))
	})
	kept := min(len(f.Counts), maxCounts)
	for _, c := range f.Counts[kept:] {
		f.Others += c.Devices
	}
	f.Counts = f.Counts[:kept]
	return f
}
