package simulate

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secure-ota/secure-ota/trust"
)

// A Secret is who a device is, and its keys.
type Secret struct {
	ID   trust.DeviceID
	Keys trust.DeviceKeys
}

// A simulation is one that runs.
type simulation struct {
	cfg     Config
	server  *url.URL
	chance  chance
	devices []device
	wheel   *wheel
	images  *images

	identity func(i uint32) (trust.DeviceID, trust.DeviceKeys, error)

	latency, reportLatency histogram
	count                  counters
	firstError             atomic.Pointer[string]
}

type counters struct {
	checks, offers, reports, downloads            atomic.Int64
	confirmed, failed, reverted, bricked, reboots atomic.Int64
	lost, refused, broken                         atomic.Int64
	late                                          atomic.Int64 // ticks that the devices waited for a free connection
}

// Run simulates a fleet and says how it went. It ends early, without an error,
// when ctx does.
func Run(ctx context.Context, cfg Config) (Summary, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Summary{}, err
	}
	s := &simulation{
		cfg: cfg, chance: chance{cfg.Seed}, devices: make([]device, cfg.Devices), wheel: newWheel(cfg.Devices), images: newImages(),
	}
	if cfg.URL != "" {
		if s.server, err = url.Parse(cfg.URL); err != nil {
			return Summary{}, err
		}
		s.identity = func(i uint32) (trust.DeviceID, trust.DeviceKeys, error) {
			return cfg.Secrets[i].ID, cfg.Secrets[i].Keys, nil
		}
		start := uint64(time.Now().UnixMilli()) << 10 // above the nonces of an earlier simulation
		for i := range s.devices {
			s.devices[i].nonce = start
		}
		s.images.list[0].devices.Store(int64(cfg.Devices))
		return s.run(ctx, nil)
	}
	w, err := newWorld(ctx, s)
	if err != nil {
		return Summary{}, fmt.Errorf("simulation: make a server: %w", err)
	}
	defer w.close()
	return s.run(ctx, w)
}

// run has the devices act until the time is over.
func (s *simulation) run(ctx context.Context, w *world) (Summary, error) {
	ctx, stop := context.WithTimeout(ctx, s.cfg.Duration)
	defer stop()
	for i := range s.devices { // spread over the first interval
		s.wheel.after(uint32(i), time.Duration(s.chance.draw(drawPause, uint32(i), 0)*float64(s.cfg.Every)))
	}
	started := time.Now()
	work := make(chan uint32, s.cfg.Connections)
	var working sync.WaitGroup
	for range s.cfg.Connections {
		working.Go(func() {
			l := &link{server: s.server}
			defer l.close()
			for i := range work {
				if again, ok := s.act(i, l); ok {
					s.wheel.after(i, again)
				}
			}
		})
	}
	working.Go(func() { s.watch(ctx, started) })
	var updated error
	if w != nil {
		working.Go(func() { updated = w.update(ctx, s.cfg.UpdateAfter) })
	}
	s.turn(ctx, started, work)
	close(work)
	working.Wait()
	if updated != nil {
		return Summary{}, fmt.Errorf("simulation: %w", updated)
	}
	return s.summary(time.Since(started), w)
}

// turn turns the wheel with the clock, and hands the devices to whoever has a
// connection.
func (s *simulation) turn(ctx context.Context, started time.Time, work chan<- uint32) {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	var due []uint32
	for done := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
		for now := int64(time.Since(started) / tick); done < now; done++ {
			if now-done > 1 {
				s.count.late.Add(1)
			}
			due = s.wheel.turn(due[:0])
			for _, i := range due {
				select {
				case work <- i:
				case <-ctx.Done():
					return
				}
			}
		}
	}
}

// note keeps the first thing that went wrong, for people.
func (s *simulation) note(err error) {
	text := err.Error()
	s.firstError.CompareAndSwap(nil, &text)
}

// watch shows how it goes.
func (s *simulation) watch(ctx context.Context, started time.Time) {
	if s.cfg.Show == nil {
		return
	}
	every := time.NewTicker(time.Second)
	defer every.Stop()
	last := int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			checks := s.count.checks.Load()
			s.cfg.Show(Progress{
				Phase: "running", Done: time.Since(started).Seconds(), Total: s.cfg.Duration.Seconds(), ChecksPerSecond: checks - last,
				P99: s.latency.percentile(99), Versions: s.images.versions(),
			})
			last = checks
		}
	}
}
