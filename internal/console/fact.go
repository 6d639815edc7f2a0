package console

import (
	"strconv"

	"github.com/secure-ota/secure-ota/internal/rollout"
)

// fact is a line of a description.
type fact struct{ Name, Value string }

// factsOf says in words what a rollout holds to, but for its stages.
func factsOf(s rollout.Spec, sendBack string) (list []fact) {
	add := func(name, value string) { list = append(list, fact{name, value}) }
	target := "all devices of the type"
	if s.Filter != "" {
		target = s.Filter
	}
	add("target", target)
	if s.Pace > 0 {
		add("pace", count(s.Pace, "device")+" a minute")
	}
	if !s.StartAt.IsZero() {
		add("starts", moment(s.StartAt)+" UTC")
	}
	if s.Window != nil {
		add("window", s.Window.String()+" UTC")
	}
	add("time-out", s.Timeout.String())
	if s.Retries > 0 {
		add("retries", strconv.Itoa(s.Retries))
	}
	if sendBack != "" {
		add("after a halt", "sent back to "+sendBack)
	}
	if s.Note != "" {
		add("note", s.Note)
	}
	return list
}
