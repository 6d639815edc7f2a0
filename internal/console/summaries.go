package console

import (
	"fmt"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// Bounds of what is kept of summaries. Counting a large fleet costs a large
// part of a second, and every open page asks every two: what was counted
// serves all who may see the same, for as long as keeps counting below a
// twentieth of the time.
const (
	summaryShare = 20
	summaryLife  = 10 * time.Second // at most
	maxSummaries = 64
)

// summaries remembers counts of the fleet.
type summaries struct {
	mu   sync.Mutex
	kept map[string]*keptSummary
}

// keptSummary is one count. Whoever holds its lock counts.
type keptSummary struct {
	mu    sync.Mutex
	sum   fleet.Summary
	until time.Time
}

func (s *summaries) of(key string) *keptSummary {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.kept[key]; ok {
		return k
	}
	if s.kept == nil || len(s.kept) >= maxSummaries { // somebody tries filters: begin anew
		s.kept = map[string]*keptSummary{}
	}
	k := &keptSummary{}
	s.kept[key] = k
	return k
}

// summary counts devices. What is about no device type is about all that the
// operator may see.
func (v *visit) summary(q api.SummaryQuery) (fleet.Summary, error) {
	k := v.memory.summaries.of(fmt.Sprintf("%d %q %q", v.actor.Role, v.actor.Scope, q))
	k.mu.Lock()
	defer k.mu.Unlock()
	began := time.Now()
	if began.Before(k.until) {
		return k.sum, nil
	}
	sum, err := v.count(q)
	if err != nil {
		return sum, err
	}
	now := time.Now()
	k.sum, k.until = sum, now.Add(min(summaryLife, summaryShare*now.Sub(began)))
	return sum, nil
}

func (v *visit) count(q api.SummaryQuery) (sum fleet.Summary, err error) {
	own := v.actor.Scope.DeviceTypes
	if q.DeviceType != "" || len(own) == 0 {
		return v.FleetSummary(v.ctx(), q)
	}
	for _, q.DeviceType = range own {
		counted, err := v.FleetSummary(v.ctx(), q)
		if err != nil {
			return sum, err
		}
		sum.Devices += counted.Devices
		sum.Types = append(sum.Types, counted.Types...)
	}
	return sum, nil
}
