package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/reason"
)

// Plan says what a rollout would do, and changes nothing. What would keep it
// from being created stands in the plan; the error is for a spec that cannot
// be judged at all.
func (e *Engine) Plan(ctx context.Context, spec Spec) (Plan, error) {
	spec = spec.WithDefaults()
	plan, err := e.plan(ctx, spec)
	if err != nil {
		return Plan{}, fmt.Errorf("plan rollout %s: %w", spec.Name, err)
	}
	return plan, nil
}

func (e *Engine) plan(ctx context.Context, spec Spec) (Plan, error) {
	if err := spec.Validate(); err != nil {
		return Plan{}, err
	}
	facts, err := e.factsOf(ctx, spec)
	if err == nil {
		err = e.fleet.Refresh(ctx) // devices that another process added a moment ago count
	}
	if err != nil {
		return Plan{}, err
	}
	a, err := newActive(&row{id: newID(), spec: spec, facts: facts}, newGauge())
	if err != nil {
		return Plan{}, err
	}
	now := e.count(a)
	plan := Plan{Target: now.waiting, Budget: spec.budget(now.waiting), Stages: []int{}, Cohorts: e.cohorts(a)}
	for _, stage := range now.stages {
		plan.Stages = append(plan.Stages, stage.waiting)
	}
	if err := never(plan.Cohorts); err != nil {
		plan.Refused = err.Error()
	}
	return plan, nil
}

// verifiable refuses a release that devices of the target could never verify.
func (e *Engine) verifiable(ctx context.Context, spec Spec, f facts) error {
	if err := e.fleet.Refresh(ctx); err != nil { // as in a plan
		return err
	}
	a, err := newActive(&row{spec: spec, facts: f}, newGauge())
	if err != nil {
		return err
	}
	return never(e.cohorts(a))
}

// never names the cohorts that could never verify the release, and what would
// take them there.
func never(cohorts []Cohort) error {
	var words []string
	for _, c := range cohorts {
		if c.Verdict == Never {
			words = append(words, fmt.Sprintf("%d of %s, for instance %s: %s", c.Devices, c.name(), c.Examples[0], c.Needs))
		}
	}
	if len(words) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrCohort, strings.Join(words, "; "))
}

// name says which devices a cohort is.
func (c *Cohort) name() string {
	version, hardware := "version "+c.Version, ""
	if c.Version == "" {
		version = "an unknown version"
	}
	if c.HardwareRevision != "" {
		hardware = ", hardware " + c.HardwareRevision
	}
	return fmt.Sprintf("%s with keyset %d%s", version, c.KeysetVersion, hardware)
}

// cohorts groups the devices of a target by what they are and can do, the
// largest group first.
func (e *Engine) cohorts(a *active) []Cohort {
	type key struct {
		version, hardware, level string
		keyset                   uint32
		verdict                  Verdict
		needs, why               string
	}
	groups := map[key]*Cohort{}
	e.each(a.spec.DeviceType, func(d *fleet.Device) {
		if !e.fleet.Matches(a.target, d) {
			return
		}
		p := e.fleet.Prospect(d, a.facts.Release.Hash)
		verdict, needs, why := e.judge(a, d, p)
		k := key{p.Version, d.HardwareRevision, d.Level.String(), d.KeysetVersion, verdict, needs, why}
		c, ok := groups[k]
		if !ok {
			c = &Cohort{
				Version: k.version, KeysetVersion: k.keyset, HardwareRevision: k.hardware, Level: k.level,
				Verdict: verdict, Needs: needs, Why: why, Examples: []string{},
			}
			groups[k] = c
		}
		c.Devices++
		if len(c.Examples) < maxExamples {
			c.Examples = append(c.Examples, d.ID)
		}
	})
	list := []Cohort{}
	for _, c := range groups {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Cohort) int {
		return cmp.Or(cmp.Compare(b.Devices, a.Devices), strings.Compare(a.Examples[0], b.Examples[0]))
	})
	return list
}

// judge says what a device can do with the release of a rollout.
func (e *Engine) judge(a *active, d *fleet.Device, p fleet.Prospect) (verdict Verdict, needs, why string) {
	switch {
	case d.Hold:
		return Cannot, "", fleet.ErrHeld.Error()
	case d.Pin != "":
		return Cannot, "", "it is pinned to version " + d.Pin
	case d.Installed.Sequence >= a.facts.Release.Sequence:
		return Has, "", ""
	case d.LastSeen.IsZero():
		return Unknown, "", "it was never here: what it holds is not known"
	case p.Never:
		return Never, fmt.Sprintf("a keyset between: one that the roots of keyset %d sign together with its own, and that leads to the release's keys", p.Newest), ""
	case p.Why != nil && !errors.Is(p.Why, reason.KeysetTooOld):
		if stone := e.fleet.SteppingStone(d, a.facts.Release.Hash); stone != "" {
			return Needs, "release " + stone, p.Why.Error()
		}
		return Cannot, "", p.Why.Error()
	case p.Keyset != 0:
		return Needs, fmt.Sprintf("keyset %d, which the server brings by itself", p.Keyset), ""
	}
	return Fits, "", ""
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
