package rollout

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// parseFilter reads a filter; the empty one matches all.
func parseFilter(text string) (*filter.Filter, error) {
	f, err := filter.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return f, nil
}

// position is where a device stands in the order in which a rollout's stages
// take devices: evenly spread, the same on every server, and another for each
// rollout.
func position(rollout string, ref fleet.Ref) uint64 {
	var buf [256]byte
	b := append(buf[:0], rollout...)
	b = append(b, 0) // no name has one
	b = append(b, ref.DeviceType...)
	b = append(b, 0)
	b = append(b, ref.ID...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8])
}

// all is the cut of a stage that every position is within.
const all = math.MaxUint64

// percentCut returns the first position outside a share of all.
func percentCut(percent float64) uint64 {
	if percent >= 100 {
		return all
	}
	return uint64(percent / 100 * (1 << 63) * 2)
}

// within reports whether a position is below a cut.
func within(position, cut uint64) bool { return position < cut || cut == all }

// fits reports whether the release is made for the hardware of a device.
func (r *release) fits(hardware string) bool {
	return len(r.Hardware) == 0 || slices.Contains(r.Hardware, hardware)
}
