package rollout

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/fleet"
)

// Plan says what a rollout would do, and changes nothing. What would keep it
// from being created stands in the plan; the error is for a spec that cannot
// be judged at all.
func (e *Engine) Plan(ctx context.Context, spec Spec) (Plan, error) {
	spec = spec.WithDefaults()
	if err := spec.Validate(); err != nil {
		return Plan{}, fmt.Errorf("plan rollout %s: %w", spec.Name, err)
	}
	if err := e.admissible(ctx, spec); err != nil {
		return Plan{}, fmt.Errorf("plan rollout %s: %w", spec.Name, err)
	}
	target, err := parseFilter(spec.Filter)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Cohorts: []Cohort{}}
	e.each(spec.DeviceType, func(d *fleet.Device) {
		if target(d) {
			plan.Target++
		}
	})
	plan.Budget = spec.budget(plan.Target)
	return plan, nil
}

// scanPage is how many devices are looked at without letting others go on.
const scanPage = 1000

// each calls f for every device of a type that is not revoked.
func (e *Engine) each(deviceType string, f func(*fleet.Device)) {
	after := fleet.Ref{DeviceType: deviceType}
	for {
		page := e.fleet.Devices(deviceType, after, scanPage)
		for i := range page {
			if !page[i].Revoked {
				f(&page[i])
			}
		}
		if len(page) < scanPage {
			return
		}
		after = page[len(page)-1].Ref
	}
}

// budget returns how many devices of a target may be touched and unproven.
func (s Spec) budget(target int) int {
	if s.MaxUnproven > 0 {
		return s.MaxUnproven
	}
	return max(target/100, MinBudget)
}
