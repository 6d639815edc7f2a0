package console

import (
	"maps"
	"slices"
	"strings"
)

// A bar is a whole in parts, drawn as one line of an SVG. Its rectangles have
// places in attributes and colours in classes: the page's policy allows no
// inline style.
type bar []segment

// barWidth is the width of a whole bar, in units of its drawing.
const barWidth = 1000

// segment is one part of a bar.
type segment struct {
	Name     string
	Class    string // of style.css
	Devices  int
	X, Width float64
}

// add appends a part of a whole, unless it is empty.
func (b *bar) add(name, class string, devices, whole int) {
	if devices == 0 {
		return
	}
	x := 0.0
	if n := len(*b); n > 0 {
		x = (*b)[n-1].X + (*b)[n-1].Width
	}
	*b = append(*b, segment{name, class, devices, x, barWidth * float64(devices) / float64(whole)})
}

// String describes the bar to who cannot see it.
func (b bar) String() string {
	var parts []string
	for _, s := range b {
		parts = append(parts, count(s.Devices, "device")+" "+s.Name)
	}
	return strings.Join(parts, ", ")
}

// versionShades is how many versions have a shade of their own, from the
// newest on; the rest are one part.
const versionShades = 5

// versionBar draws how many devices run which version, the newest first.
// What runs
// without being published, or never told, comes last.
func versionBar(devices map[string]int, newestFirst []string) bar {
	var b bar
	whole, older := sum(devices), 0
	for i, version := range newestFirst {
		if slices.Index(newestFirst, version) != i { // a downgrade: its version stands twice
			continue
		}
		if n := devices[version]; len(b) < versionShades {
			b.add(version, "version"+string(rune('0'+len(b))), n, whole)
		} else {
			older += n
		}
	}
	b.add("older", "older", older, whole)
	b.add("unknown", "none", devices[""], whole)
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

// toneOf judges a state in the words of fleet.State.
func toneOf(state string) tone {
	switch state {
	case "idle", "confirmed":
		return good
	case "offered", "downloading", "installing", "trial":
		return busy
	case "reverted", "refused", "failed", "silent":
		return bad
	}
	return neutral
}

// stateBar draws how many devices are in which state, of one tone side by side.
func stateBar(devices map[string]int) bar {
	var b bar
	whole := sum(devices)
	for _, t := range []tone{bad, busy, good, neutral} {
		for _, state := range slices.Sorted(maps.Keys(devices)) {
			if toneOf(state) == t {
				b.add(state, string(t), devices[state], whole)
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
