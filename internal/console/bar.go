package console

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A bar is a whole in parts, drawn as one line of an SVG. Its rectangles have
// places in attributes and colours in classes: the pages' policy allows no
// inline style.
type bar []segment

// barWidth is the width of a whole bar, in units of its drawing.
const barWidth = 1000

// segment is one part of a bar.
type segment struct {
	Name     string
	Class    string // of style.css
	Devices  int
	Href     string // the list of the devices that it counts; empty: none
	X, Width float64
}

// add appends a part of a whole, unless it is empty.
func (b *bar) add(s segment, whole int) {
	if s.Devices == 0 {
		return
	}
	if n := len(*b); n > 0 {
		s.X = (*b)[n-1].X + (*b)[n-1].Width
	}
	s.Width = barWidth * float64(s.Devices) / float64(whole)
	*b = append(*b, s)
}

// String describes the bar to who cannot see it.
func (b bar) String() string {
	var parts []string
	for _, s := range b {
		parts = append(parts, count(s.Devices, "device")+" "+s.Name)
	}
	return strings.Join(parts, ", ")
}

// shades is how many parts have a shade of their own, from the newest on; the
// rest are one part.
const shades = 5

func shade(i int) string { return "shade" + string(rune('0'+i)) }

// versionBar draws how many devices of a type run which version, the newest
// first. What runs without being published, or never told, comes last.
func versionBar(deviceType string, devices map[string]int, newestFirst []string) bar {
	var b bar
	whole, older := sum(devices), 0
	ofType := equal("type", deviceType)
	var named []string
	for i, version := range newestFirst {
		if slices.Index(newestFirst, version) != i { // a downgrade: its version stands twice
			continue
		}
		if n := devices[version]; len(b) < shades {
			named = append(named, "not "+equal("version", version))
			b.add(segment{Name: version, Class: shade(len(b)), Devices: n, Href: devicesURL(where(ofType, equal("version", version)))}, whole)
		} else {
			older += n
		}
	}
	rest := where(append([]string{ofType, `version!=""`}, named...)...)
	b.add(segment{Name: "older", Class: "older", Devices: older, Href: devicesURL(rest)}, whole)
	b.add(segment{Name: "unknown", Class: "none", Devices: devices[""], Href: devicesURL(where(ofType, `version=""`))}, whole)
	return b
}

// keysetBar draws how many devices of a type hold which keyset.
func keysetBar(deviceType string, devices map[uint32]int, newest uint32) bar {
	var b bar
	whole := 0
	for _, n := range devices {
		whole += n
	}
	versions := slices.Sorted(maps.Keys(devices))
	slices.Reverse(versions)
	for _, v := range versions {
		class := "older"
		switch {
		case v == 0:
			class = "none"
		case newest >= v && newest-v < shades:
			class = shade(int(newest - v))
		}
		name := "keyset " + number(int(v))
		if v == 0 {
			name = "none told yet"
		}
		b.add(segment{Name: name, Class: class, Devices: devices[v],
			Href: devicesURL(where(equal("type", deviceType), equal("keyset", number(int(v)))))}, whole)
	}
	return b
}

// A tone says how well a state is, and colours it.
type tone string

const (
	good    tone = "good"
	busy    tone = "busy"
	bad     tone = "bad"
	neutral tone = "none"
)

// toneOf judges a state of a device (fleet.State), of a rollout or of a device in
// one, and the verdict of a plan.
func toneOf(state any) tone {
	switch fmt.Sprint(state) {
	case "idle", "confirmed", "completed", "fits", "has it":
		return good
	case "offered", "downloading", "installing", "trial", "running", "scheduled", "awaiting approval", "retrying", "needs first":
		return busy
	case "reverted", "refused", "failed", "silent", "halted", "timed out", "cannot", "can never verify":
		return bad
	}
	return neutral
}

// stateBar draws how many devices of a type are in which state, of one tone
// side by side.
func stateBar(deviceType string, devices map[string]int) bar {
	var b bar
	whole := sum(devices)
	for _, t := range []tone{bad, busy, good, neutral} {
		for _, state := range slices.Sorted(maps.Keys(devices)) {
			if toneOf(state) == t {
				b.add(segment{Name: state, Class: string(t), Devices: devices[state],
					Href: devicesURL(where(equal("type", deviceType), equal("state", state)))}, whole)
			}
		}
	}
	return b
}

func sum(devices map[string]int) (total int) {
	for _, n := range devices {
		total += n
	}
	return total
}
