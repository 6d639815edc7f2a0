package fleet

import (
	"strconv"
	"testing"
)

// A label of which every device has a value of its own is cut, not dropped.
func TestManyValuesAreCut(t *testing.T) {
	devices := map[string]int{"common": 7}
	for i := range 1200 {
		devices[strconv.Itoa(i)] = 1
	}
	f := facetOf(devices)
	if len(f.Counts) != maxCounts || f.Others != 201 || f.Counts[0] != (Count{"common", 7}) {
		t.Errorf("%d values, the first %v, %d others", len(f.Counts), f.Counts[0], f.Others)
	}
}
