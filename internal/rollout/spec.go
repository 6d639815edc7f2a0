package rollout

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/secure-ota/secure-ota/manifest"
)

// A Spec is what an operator wants. It does not change once the rollout is
// created: another plan is another rollout.
type Spec struct {
	Name       string          `json:"name"` // unique, a name as in package manifest
	DeviceType string          `json:"device_type"`
	Release    manifest.Digest `json:"release"`         // its identity
	Filter     string          `json:"filter,omitzero"` // the target; empty: all devices of the type
	Stages     []Stage         `json:"stages"`          // at least one

	Pace    int       `json:"pace,omitzero"`     // devices that are offered the release in a minute; 0: no limit
	StartAt time.Time `json:"start_at,omitzero"` // zero: when it is started
	Window  *Window   `json:"window,omitzero"`   // nil: always

	// Timeout is how long an offered device may go without evidence before it
	// counts as stuck. 0: DefaultTimeout.
	Timeout Duration `json:"timeout,omitzero"`
	// Retries is how often a device is offered the release again after a
	// time-out or a failure that may pass. 0: DefaultRetries; NoRetries: never.
	Retries int `json:"retries,omitzero"`
	// MaxUnproven is the budget: how many devices may be touched and without
	// evidence of success, those that failed included. 0: 1 % of the target,
	// at least MinBudget.
	MaxUnproven int `json:"max_unproven,omitzero"`

	// SendBack is the identity of an approved downgrade. After a halt it is
	// offered to the devices that run the release. Zero: none.
	SendBack manifest.Digest `json:"send_back,omitzero"`
	Note     string          `json:"note,omitzero"` // for people
}

// Defaults and bounds of a Spec.
const (
	DefaultTimeout = Duration(24 * time.Hour)
	DefaultRetries = 1
	NoRetries      = -1
	MinBudget      = 10 // devices

	MaxStages   = 32
	MaxNote     = 1024 // bytes
	MaxWhy      = 1024 // bytes
	maxFilter   = 4096 // bytes
	maxCount    = 1 << 31
	maxPace     = 60_000_000
	maxRetries  = 100
	maxDuration = Duration(366 * day)
)

// WithDefaults returns the spec with its zero values filled in, but for
// MaxUnproven, which depends on the target.
func (s Spec) WithDefaults() Spec {
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.Retries == 0 {
		s.Retries = DefaultRetries
	}
	if s.StartAt.UnixMilli() != 0 && !s.StartAt.IsZero() {
		s.StartAt = time.UnixMilli(s.StartAt.UnixMilli()).UTC()
	}
	stages := make([]Stage, len(s.Stages))
	for i, stage := range s.Stages {
		stages[i] = stage.withDefaults()
	}
	s.Stages = stages
	return s
}

// Validate refuses (ErrInvalid) what no rollout can be. Whether the release
// and the device type exist, only a server knows.
func (s Spec) Validate() error {
	if err := manifest.CheckName(s.Name); err != nil {
		return fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	if err := manifest.CheckName(s.DeviceType); err != nil {
		return fmt.Errorf("%w: device type: %v", ErrInvalid, err)
	}
	switch {
	case s.Release.IsZero():
		return fmt.Errorf("%w: no release", ErrInvalid)
	case len(s.Stages) == 0 || len(s.Stages) > MaxStages:
		return fmt.Errorf("%w: %d stages, want 1 to %d", ErrInvalid, len(s.Stages), MaxStages)
	case s.Pace < 0 || s.Pace > maxPace:
		return fmt.Errorf("%w: pace %d", ErrInvalid, s.Pace)
	case s.Timeout < Duration(time.Second) || s.Timeout > maxDuration:
		return fmt.Errorf("%w: timeout %s", ErrInvalid, s.Timeout)
	case s.Retries < NoRetries || s.Retries > maxRetries:
		return fmt.Errorf("%w: retries %d", ErrInvalid, s.Retries)
	case s.MaxUnproven < 0 || s.MaxUnproven > maxCount:
		return fmt.Errorf("%w: max unproven %d", ErrInvalid, s.MaxUnproven)
	}
	if err := checkText("note", s.Note, MaxNote); err != nil {
		return err
	}
	if s.Window != nil {
		if err := s.Window.validate(); err != nil {
			return err
		}
	}
	if _, err := parseFilter(s.Filter); err != nil {
		return err
	}
	return s.validateStages()
}

func (s Spec) validateStages() error {
	var percent float64
	var count int
	for i, stage := range s.Stages {
		if err := stage.validate(); err != nil {
			return fmt.Errorf("stage %d: %w", i+1, err)
		}
		if stage.Percent != 0 && stage.Percent < percent || stage.Count != 0 && stage.Count < count {
			return fmt.Errorf("stage %d: %w: it is smaller than the one before; stages are cumulative", i+1, ErrInvalid)
		}
		percent, count = max(percent, stage.Percent), max(count, stage.Count)
	}
	return nil
}

// attempts returns how often a device is offered the release at most.
func (s Spec) attempts() int { return 1 + max(s.Retries, 0) }

// checkText refuses what could write a second line or move the cursor, but
// for line breaks, which a note may have.
func checkText(what, text string, max int) error {
	if len(text) > max || !utf8.ValidString(text) {
		return fmt.Errorf("%w: %s: want at most %d bytes of UTF-8", ErrInvalid, what, max)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }); i >= 0 {
		return fmt.Errorf("%w: %s: unprintable character at byte %d", ErrInvalid, what, i)
	}
	return nil
}
