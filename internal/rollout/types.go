package rollout

import "time"

// An Offer says which releases a device type's devices are offered.
type Offer string

// The values of Offer.
const (
	Newest   Offer = "newest"   // every published release, the newest that a device can take
	Rollouts Offer = "rollouts" // what a rollout says, and nothing else
)

// TypeSettings are what an administrator decides for a device type.
type TypeSettings struct {
	DeviceType string    `json:"device_type"`
	Offer      Offer     `json:"offer"`
	Critical   bool      `json:"critical"`             // a rollout needs the approval of a second person
	SupportEnd time.Time `json:"support_end,omitzero"` // the last day, 0 h UTC; zero: not known
}
