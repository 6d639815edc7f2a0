package rollout

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Stage is a part of a rollout's target and what must be seen of it before
// the next stage opens. Stages are cumulative: the devices of the first are
// also those of the second.
type Stage struct {
	// Exactly one of these: a share of the target, so many devices of it, or
	// those that a filter matches. Which devices a share holds depends on the
	// rollout and the device's id alone.
	Percent float64 `json:"percent,omitzero"`
	Count   int     `json:"count,omitzero"`
	Filter  string  `json:"filter,omitzero"`

	// SuccessPercent is how many of the stage's devices that were here since it
	// opened must run the release, confirmed. 0: DefaultSuccess.
	SuccessPercent float64 `json:"success_percent,omitzero"`
	// FailurePercent is how many of the touched devices may fail; more halt the
	// rollout. At least FailureBase devices count as touched, so that one of
	// two does not look like half a fleet. 0: DefaultFailure.
	FailurePercent float64 `json:"failure_percent,omitzero"`
	// Soak is how long the stage lasts at least.
	Soak Duration `json:"soak,omitzero"`
	// Gate keeps the next stage shut until an operator advances the rollout.
	Gate bool `json:"gate,omitzero"`
}

// Defaults and bounds of a stage.
const (
	DefaultSuccess = 95.0
	DefaultFailure = 5.0
	FailureBase    = 20 // devices
)

func (s Stage) withDefaults() Stage {
	if s.SuccessPercent == 0 {
		s.SuccessPercent = DefaultSuccess
	}
	if s.FailurePercent == 0 {
		s.FailurePercent = DefaultFailure
	}
	return s
}

func (s Stage) validate() error {
	kinds := 0
	for _, given := range []bool{s.Percent != 0, s.Count != 0, s.Filter != ""} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return fmt.Errorf("%w: want exactly one of percent, count and filter", ErrInvalid)
	case !percentage(s.Percent):
		return fmt.Errorf("%w: percent %v", ErrInvalid, s.Percent)
	case s.Count < 0 || s.Count > maxCount:
		return fmt.Errorf("%w: count %d", ErrInvalid, s.Count)
	case !percentage(s.SuccessPercent):
		return fmt.Errorf("%w: success percent %v", ErrInvalid, s.SuccessPercent)
	case !percentage(s.FailurePercent):
		return fmt.Errorf("%w: failure percent %v", ErrInvalid, s.FailurePercent)
	case s.Soak < 0 || s.Soak > maxDuration:
		return fmt.Errorf("%w: soak %s", ErrInvalid, s.Soak)
	}
	_, err := parseFilter(s.Filter)
	return err
}

func percentage(p float64) bool { return p >= 0 && p <= 100 && !math.IsNaN(p) }

// String returns which part of the target it is.
func (s Stage) String() string {
	switch {
	case s.Count != 0:
		return fmt.Sprintf("%d devices", s.Count)
	case s.Filter != "":
		return s.Filter
	}
	return fmt.Sprintf("%g %%", s.Percent)
}

// ParseStage reads a stage as people write it: a part of the target ("10%",
// "50" devices, or a filter), and after it, separated by commas, what must be
// seen of it: soak=24h, success=95, failure=5, gate.
func ParseStage(text string) (s Stage, err error) {
	words := strings.Split(text, ",")
	for ; len(words) > 1; words = words[:len(words)-1] {
		known, err := s.set(strings.TrimSpace(words[len(words)-1]))
		if err != nil {
			return s, fmt.Errorf("%w: stage %q: %w", ErrInvalid, text, err)
		}
		if !known { // the rest is a filter with a comma in it
			break
		}
	}
	part := strings.TrimSpace(strings.Join(words, ","))
	if digits, ok := strings.CutSuffix(part, "%"); ok {
		s.Percent, err = strconv.ParseFloat(strings.TrimSpace(digits), 64)
	} else if n, notNumber := strconv.Atoi(part); notNumber == nil {
		s.Count = n
	} else {
		s.Filter = part
	}
	if err == nil {
		err = s.withDefaults().validate()
	}
	if err != nil {
		return s, fmt.Errorf("%w: stage %q: %w", ErrInvalid, text, err)
	}
	return s, nil
}

// set reads one condition of a stage.
func (s *Stage) set(text string) (known bool, err error) {
	name, value, _ := strings.Cut(text, "=")
	switch name {
	case "gate":
		s.Gate = value == ""
		return s.Gate, nil
	case "soak":
		s.Soak, err = ParseDuration(value)
	case "success":
		s.SuccessPercent, err = strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
	case "failure":
		s.FailurePercent, err = strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
	default:
		return false, nil
	}
	return true, err
}
