package console

import (
	"errors"

	"github.com/secure-ota/secure-ota/internal/rollout"
)

// emptyStages is how many stages a new form shows, and how many it adds.
const emptyStages = 3

func showNewRollout(v *visit) (*page, error) {
	if err := v.require("rollout.create"); err != nil {
		return nil, err
	}
	d := &draft{Release: v.query("release"), Stages: []stageForm{{Part: "1%", Soak: "1h"}, {Part: "10%", Soak: "1h"}, {Part: "100%"}}}
	return d.page(v)
}

// page completes the form with what there is to choose from.
func (d *draft) page(v *visit) (*page, error) {
	releases, err := v.releases()
	if err != nil {
		return nil, err
	}
	for _, r := range releases {
		if r.Withdrawal == nil {
			d.Releases = append(d.Releases, r)
			if r.Downgrade {
				d.Downgrades = append(d.Downgrades, r)
			}
		}
	}
	for i := range d.Stages {
		d.Stages[i].Number = i + 1
	}
	d.More = d.Pace+d.Timeout+d.Retries+d.MaxUnproven+d.StartAt+d.From+d.To+d.SendBack+d.Note != "" || len(d.Days) > 0
	return (&page{Title: "New rollout", Section: "rollouts", Data: d}).as("draft"), nil
}

// planRollout shows what the form would do, and creates nothing.
func planRollout(v *visit) (*page, error) {
	d := readDraft(v)
	if v.field("add") != "" {
		d.Stages = append(d.Stages, make([]stageForm, min(emptyStages, rollout.MaxStages-len(d.Stages)))...)
		return d.page(v)
	}
	spec, err := d.spec(v)
	if err != nil {
		return nil, d.again(v, err)
	}
	plan, err := v.PlanRollout(v.ctx(), spec)
	if err != nil {
		return nil, d.again(v, err)
	}
	d.Plan, d.Spec = &plan, spec
	for i := range min(len(d.Stages), len(plan.Stages)) {
		d.Stages[i].Devices = plan.Stages[i]
	}
	return d.page(v)
}

func createRollout(v *visit) (string, error) {
	d := readDraft(v)
	spec, err := d.spec(v)
	if err != nil {
		return "", d.again(v, err)
	}
	r, err := v.CreateRollout(v.ctx(), spec)
	if err != nil {
		return "", d.again(v, err)
	}
	return rolloutURL(r.Name) + "?done=drafted", nil
}

// again shows the form with what is wrong with it.
func (d *draft) again(v *visit, cause error) error {
	if len(d.Stages) == 0 {
		d.Stages = make([]stageForm, emptyStages)
	}
	form, err := d.page(v)
	if err != nil {
		return errors.Join(cause, err)
	}
	return &formError{form: form, cause: cause}
}
