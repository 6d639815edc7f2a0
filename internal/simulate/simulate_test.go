package simulate

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A fleet of 400 with every mishap there is: whoever can update does, nobody
// is refused, and the numbers add up.
func TestAFleetUpdates(t *testing.T) {
	sum, err := Run(t.Context(), Config{
		Devices: 400, Types: 2, Every: time.Second, Duration: 15 * time.Second, UpdateAfter: 2 * time.Second, Seed: 7,
		Loss: 0.01, Slow: 0.01, Reboot: 0.01, Fail: 0.05, Revert: 0.02, Brick: 0.01, ImageSize: 8 << 10, Connections: 32,
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Refused+sum.Broken > 0 {
		t.Errorf("%d refused, %d broken: %s", sum.Refused, sum.Broken, sum.FirstError)
	}
	if sum.Checks < 400 || sum.Confirmed == 0 || sum.Lost == 0 || sum.Reboots == 0 || sum.CheckTimes.P50 <= 0 || sum.CheckTimes.P99 < sum.CheckTimes.P50 {
		t.Errorf("%+v", sum)
	}
	if running := sum.Versions["1.0.0"] + sum.Versions["1.1.0"]; running != 400 || sum.Versions["1.1.0"] != sum.Confirmed {
		t.Errorf("%v, %d confirmed", sum.Versions, sum.Confirmed)
	}
}

// A release after which most devices are never heard of again is stopped while
// few have it.
func TestARolloutStopsABadRelease(t *testing.T) {
	sum, err := Run(t.Context(), Config{
		Devices: 1000, Every: time.Second, Duration: 8 * time.Second, UpdateAfter: time.Second, Brick: 1, Stages: []float64{1, 10, 100}, ImageSize: 1 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Bricked == 0 || sum.Bricked > 10 || sum.Confirmed != 0 {
		t.Errorf("%d of 1,000 devices bricked, %d confirmed, %+v", sum.Bricked, sum.Confirmed, sum.Rollouts)
	}
	if len(sum.Rollouts) != 1 || sum.Rollouts[0].Touched > 10 {
		t.Errorf("%+v", sum.Rollouts)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	good := Config{Devices: 10, Every: time.Second, Duration: time.Second}
	for name, change := range map[string]func(*Config){
		"no devices": func(c *Config) { c.Devices = 0 }, "too many": func(c *Config) { c.Devices = MaxDevices + 1 },
		"more types than devices": func(c *Config) { c.Types = 11 }, "no time": func(c *Config) { c.Duration = 0 },
		"a share above 1": func(c *Config) { c.Loss = 1.1 }, "no share": func(c *Config) { c.Brick = math.NaN() },
		"a server of another kind": func(c *Config) { c.URL, c.Secrets = "ftp://x", make([]Secret, 1) },
		"connections":              func(c *Config) { c.Connections = -1 }, "an image": func(c *Config) { c.ImageSize = -1 },
	} {
		c := good
		change(&c)
		if _, err := c.withDefaults(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := good.withDefaults(); err != nil {
		t.Error(err)
	}
}

func TestAHistogramIsAnEighthTooLongAtMost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var h histogram
		list := rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 1, 200).Draw(rt, "microseconds")
		for _, us := range list {
			h.add(time.Duration(us) * time.Microsecond)
		}
		slices.Sort(list)
		for _, percent := range []float64{0, 50, 90, 99, 100} {
			want := list[min(len(list)-1, int(float64(len(list))*percent/100))]
			if got := h.percentile(percent).Microseconds(); got < want || got > want+want/8+1 {
				rt.Fatalf("percentile %v of %v is %d, want %d", percent, list, got, want)
			}
		}
	})
	var empty histogram
	if empty.percentile(99) != 0 {
		t.Error("of nothing")
	}
}

// Every device comes up once for each time that it was to, in the right tick.
func TestAWheelKeepsTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w, due := newWheel(20), map[uint32]uint32{}
		for device := range uint32(20) {
			ticks := rapid.Uint32Range(0, 3*wheelSize).Draw(rt, "ticks")
			w.after(device, time.Duration(ticks)*tick)
			due[device] = max(1, ticks)
		}
		for now := uint32(1); len(due) > 0; now++ {
			for _, device := range w.turn(nil) {
				if due[device] != now {
					rt.Fatalf("device %d in tick %d, want %d", device, now, due[device])
				}
				delete(due, device)
			}
			if now > 3*wheelSize {
				rt.Fatalf("%v never came", due)
			}
		}
	})
}

func TestChanceIsFair(t *testing.T) {
	c, happened := chance{42}, 0
	for device := range uint32(10_000) {
		if c.happens(0.1, drawLoss, device, 3) {
			happened++
		}
		if c.happens(0, drawLoss, device, 3) || !c.happens(1, drawLoss, device, 3) {
			t.Fatal("what never or always happens")
		}
	}
	if happened < 850 || happened > 1150 {
		t.Errorf("a tenth of 10,000 is %d", happened)
	}
}
