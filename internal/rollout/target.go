package rollout

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/fleet"
)

// A matcher says whether a device is meant.
type matcher func(*fleet.Device) bool

// parseFilter returns what a filter matches; the empty one matches all.
func parseFilter(text string) (matcher, error) {
	if text == "" {
		return func(*fleet.Device) bool { return true }, nil
	}
	return nil, fmt.Errorf("%w: filter %q: filters are not known here", ErrInvalid, text)
}
