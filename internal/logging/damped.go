package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Damped returns a log that writes no more than most records of the same words
// in an interval, of level info and above, and with the next one says how many
// it left out. It is for what clients bring about: a million devices that find
// the disk full, or a stranger who guesses, would write a log that fills it.
// Words are constants of the program; what varies stands in attributes.
func Damped(log *slog.Logger, most int, interval time.Duration) *slog.Logger {
	return slog.New(&damper{Handler: log.Handler(), damping: &damping{
		most: most, interval: interval, now: time.Now, said: map[string]*saying{},
	}})
}

type damper struct {
	slog.Handler
	*damping
}

// damping is shared by all logs that are made of one.
type damping struct {
	most     int
	interval time.Duration
	now      func() time.Time

	mu   sync.Mutex
	said map[string]*saying // by words
}

type saying struct {
	since          time.Time
	times, leftOut int
}

// Handle implements slog.Handler.
func (d *damper) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		write, leftOut := d.admit(r.Message)
		if !write {
			return nil
		}
		if leftOut > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("left_out", leftOut))
		}
	}
	return d.Handler.Handle(ctx, r)
}

func (d *damping) admit(words string) (write bool, leftOut int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, now := d.said[words], d.now()
	if s == nil {
		s = &saying{since: now}
		d.said[words] = s
	}
	if now.Sub(s.since) >= d.interval {
		leftOut = s.leftOut
		*s = saying{since: now}
	}
	if s.times == d.most {
		s.leftOut++
		return false, 0
	}
	s.times++
	return true, leftOut
}

// WithAttrs implements slog.Handler.
func (d *damper) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &damper{d.Handler.WithAttrs(attrs), d.damping}
}

// WithGroup implements slog.Handler.
func (d *damper) WithGroup(name string) slog.Handler {
	return &damper{d.Handler.WithGroup(name), d.damping}
}
