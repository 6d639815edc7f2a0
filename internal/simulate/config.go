package simulate

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

// ErrConfig is wrapped by the refusal of a Config.
var ErrConfig = errors.New("simulation")

// A Config says what to simulate. All shares are from 0 to 1.
type Config struct {
	Devices  int
	Types    int           // device types that the devices are spread over; of a server of one's own
	Every    time.Duration // between two checks of a device
	Duration time.Duration // of the whole
	Seed     uint64

	Loss   float64 // share of requests whose answer the device never gets
	Slow   float64 // share of devices with a link of SlowRate
	Reboot float64 // share of checks after which the device restarts, and skips a block of nonces
	Fail   float64 // share of updates that break off and are tried again
	Revert float64 // share of updates that do not survive their trial
	Brick  float64 // share of updates after which the device is never heard of again

	Stages      []float64 // of the rollout, in percent; empty: everybody is offered the update at once
	UpdateAfter time.Duration
	ImageSize   int
	Connections int

	// A server that runs already, and the secrets of its devices. Empty: a server
	// of one's own, in a temporary directory.
	URL     string
	Secrets []Secret

	Log  *slog.Logger   // of a server of one's own; nil: discarded
	Show func(Progress) // called about once a second; nil: nobody looks
}

// SlowRate is what a slow link carries, in bytes a second.
const SlowRate = 16 << 10

// MaxDevices is how many devices can be simulated.
const MaxDevices = 1_000_000

func (c Config) withDefaults() (Config, error) {
	if c.Types == 0 {
		c.Types = 1
	}
	if c.URL != "" {
		c.Devices = len(c.Secrets)
	}
	if c.ImageSize == 0 {
		c.ImageSize = 64 << 10
	}
	if c.Connections == 0 {
		c.Connections = 64
	}
	if c.UpdateAfter == 0 {
		c.UpdateAfter = c.Duration / 5
	}
	switch {
	case c.Devices < 1 || c.Devices > MaxDevices:
		return c, fmt.Errorf("%w: %d devices, want 1 to %d", ErrConfig, c.Devices, MaxDevices)
	case c.Types < 1 || c.Types > c.Devices:
		return c, fmt.Errorf("%w: %d device types for %d devices", ErrConfig, c.Types, c.Devices)
	case c.Every < tick || c.Duration < tick:
		return c, fmt.Errorf("%w: a check every %s for %s: want at least %s of each", ErrConfig, c.Every, c.Duration, tick)
	case c.Connections < 1 || c.Connections > 10_000:
		return c, fmt.Errorf("%w: %d connections, want 1 to 10,000", ErrConfig, c.Connections)
	case c.ImageSize < 1 || c.ImageSize > 1<<30:
		return c, fmt.Errorf("%w: an image of %d bytes", ErrConfig, c.ImageSize)
	}
	for name, share := range map[string]float64{
		"loss": c.Loss, "slow": c.Slow, "reboot": c.Reboot, "fail": c.Fail, "revert": c.Revert, "brick": c.Brick,
	} {
		if !(share >= 0 && share <= 1) {
			return c, fmt.Errorf("%w: %s %v: want a share from 0 to 1", ErrConfig, name, share)
		}
	}
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" {
			return c, fmt.Errorf("%w: server %q: want http://HOST:PORT or https://HOST:PORT", ErrConfig, c.URL)
		}
	}
	return c, nil
}
