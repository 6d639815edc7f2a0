package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Window is when a rollout may offer its release to further devices: on some
// days of the week, from one minute of the day to another, in UTC. It may pass
// midnight, and then belongs to the day on which it begins.
type Window struct {
	Days []Day  `json:"days"` // empty: every day
	From Minute `json:"from"`
	To   Minute `json:"to"` // not itself within the window
}

// Contains reports whether the window is open at t.
func (w *Window) Contains(t time.Time) bool {
	t = t.UTC()
	minute := Minute(t.Hour()*60 + t.Minute())
	if w.From < w.To {
		return w.on(t.Weekday()) && w.From <= minute && minute < w.To
	}
	return w.on(t.Weekday()) && minute >= w.From || w.on((t.Weekday()+6)%7) && minute < w.To
}

func (w *Window) on(d time.Weekday) bool { return len(w.Days) == 0 || slices.Contains(w.Days, Day(d)) }

// next returns when the window opens next after t, at which it is closed.
func (w *Window) next(t time.Time) time.Time {
	t = t.UTC()
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	for n := range 8 {
		from := midnight.AddDate(0, 0, n).Add(time.Duration(w.From) * time.Minute)
		if from.After(t) && w.on(from.Weekday()) {
			return from
		}
	}
	return time.Time{}
}

func (w *Window) validate() error {
	if w.From >= minutesOfDay || w.To >= minutesOfDay || w.From == w.To {
		return fmt.Errorf("%w: window from %s to %s", ErrInvalid, w.From, w.To)
	}
	for _, d := range w.Days {
		if d > Day(time.Saturday) {
			return fmt.Errorf("%w: window: day %d", ErrInvalid, d)
		}
	}
	return nil
}

// String returns for instance "mon,tue 22:00-05:00".
func (w *Window) String() string {
	var days []string
	for _, d := range w.Days {
		days = append(days, d.String())
	}
	hours := w.From.String() + "-" + w.To.String()
	if len(days) == 0 {
		return hours
	}
	return strings.Join(days, ",") + " " + hours
}

// ParseWindow reads what String writes.
func ParseWindow(text string) (*Window, error) {
	w := &Window{}
	hours := text
	if days, rest, ok := strings.Cut(text, " "); ok {
		hours = rest
		for name := range strings.SplitSeq(days, ",") {
			var d Day
			if err := d.UnmarshalText([]byte(name)); err != nil {
				return nil, err
			}
			w.Days = append(w.Days, d)
		}
	}
	from, to, ok := strings.Cut(hours, "-")
	if !ok {
		return nil, fmt.Errorf("%w: window %q: want for instance 22:00-05:00 or mon,tue 22:00-05:00", ErrInvalid, text)
	}
	if err := w.From.UnmarshalText([]byte(from)); err != nil {
		return nil, err
	}
	if err := w.To.UnmarshalText([]byte(to)); err != nil {
		return nil, err
	}
	return w, w.validate()
}

// A Day is a day of the week: sun is 0.
type Day time.Weekday

var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// String returns the day in three letters.
func (d Day) String() string {
	if d < 0 || int(d) >= len(dayNames) {
		return fmt.Sprintf("day %d", int(d))
	}
	return dayNames[d]
}

// MarshalText returns the day in three letters.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Day) UnmarshalText(text []byte) error {
	i := slices.Index(dayNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%w: day %q: want one of %s", ErrInvalid, text, strings.Join(dayNames[:], ", "))
	}
	*d = Day(i)
	return nil
}

// A Minute is a minute of the day, from 0 to 1439.
type Minute uint16

const minutesOfDay = 24 * 60

// String returns "HH:MM".
func (m Minute) String() string { return fmt.Sprintf("%02d:%02d", m/60, m%60) }

// MarshalText returns "HH:MM".
func (m Minute) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (m *Minute) UnmarshalText(text []byte) error {
	t, err := time.Parse("15:04", string(text))
	if err != nil {
		return fmt.Errorf("%w: time of day %q: want HH:MM", ErrInvalid, text)
	}
	*m = Minute(t.Hour()*60 + t.Minute())
	return nil
}
