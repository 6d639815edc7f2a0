package console

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/manifest"
)

// A draft is the form of a new rollout, as it was filled in.
type draft struct {
	Name, Release, Filter, Note string
	Stages                      []stageForm
	Pace, Timeout, Retries      string
	MaxUnproven, StartAt        string
	Days                        []string
	From, To, SendBack          string
	More                        bool // anything beyond the first fields is filled in
	Releases, Downgrades        []api.Release
	Plan                        *rollout.Plan // what it would do
	Spec                        rollout.Spec
	Facts                       []fact
}

// stageForm is the form of one stage.
type stageForm struct {
	Part, Success, Failure, Soak string
	Gate                         bool
	Number                       int
	Devices                      int // by the plan
}

// emptyStages is how many stages a new form shows, and how many it adds.
const emptyStages = 3

// weekdays are the days of a maintenance window, in the order of the form.
var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

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

// readDraft reads the form.
func readDraft(v *visit) *draft {
	d := &draft{
		Name: v.field("name"), Release: v.field("release"), Filter: v.field("filter"), Note: strings.ReplaceAll(v.field("note"), "\r\n", "\n"),
		Pace: v.field("pace"), Timeout: v.field("timeout"), Retries: v.field("retries"), MaxUnproven: v.field("max_unproven"),
		StartAt: v.field("start_at"), From: v.field("from"), To: v.field("to"), SendBack: v.field("send_back"), Days: v.PostForm["day"],
	}
	for n := 1; n <= rollout.MaxStages; n++ {
		field := func(name string) string { return v.field(name + strconv.Itoa(n)) }
		if part := field("part"); part != "" {
			d.Stages = append(d.Stages, stageForm{
				Part: part, Success: field("success"), Failure: field("failure"), Soak: field("soak"), Gate: field("gate") != "",
			})
		}
	}
	return d
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
	d.Plan, d.Spec, d.Facts = &plan, spec, factsOf(spec.WithDefaults(), "")
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

// spec reads the form's texts.
func (d *draft) spec(v *visit) (s rollout.Spec, err error) {
	s = rollout.Spec{Name: d.Name, Filter: d.Filter, Note: d.Note}
	if s.Release, err = manifest.ParseDigest(d.Release); err != nil {
		return s, fmt.Errorf("release: %w: choose one", api.ErrInvalid)
	}
	r, err := v.Release(v.ctx(), s.Release)
	if err != nil {
		return s, err
	}
	s.DeviceType = r.DeviceType
	if d.SendBack != "" {
		if s.SendBack, err = manifest.ParseDigest(d.SendBack); err != nil {
			return s, fmt.Errorf("send back: %w: choose one", api.ErrInvalid)
		}
	}
	var errs []error
	whole := func(name, text string) int {
		n, err := wholeNumber(name, text)
		errs = append(errs, err)
		return n
	}
	s.Pace, s.MaxUnproven = whole("pace", d.Pace), whole("at risk", d.MaxUnproven)
	if s.Retries = whole("retries", d.Retries); d.Retries == "0" {
		s.Retries = rollout.NoRetries
	}
	s.Timeout, err = duration("time-out", d.Timeout)
	errs = append(errs, err)
	if d.StartAt != "" {
		s.StartAt, err = time.Parse("2006-01-02T15:04", d.StartAt)
		errs = append(errs, named("start", err))
	}
	s.Window, err = d.window()
	errs = append(errs, err)
	for i, stage := range d.Stages {
		parsed, err := stage.stage()
		if err != nil {
			errs = append(errs, fmt.Errorf("stage %d: %w", i+1, err))
		}
		s.Stages = append(s.Stages, parsed)
	}
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	return s, s.WithDefaults().Validate()
}

func (d *draft) window() (*rollout.Window, error) {
	if d.From == "" && d.To == "" && len(d.Days) == 0 {
		return nil, nil
	}
	from, to := d.From, d.To
	if from == "" && to == "" {
		from, to = "00:00", "23:59"
	}
	text := from + "-" + to
	if len(d.Days) > 0 && len(d.Days) < len(weekdays) {
		text = strings.Join(d.Days, ",") + " " + text
	}
	return rollout.ParseWindow(text)
}

// stage reads a part of the target: "5%", "20" devices, or a filter.
func (f stageForm) stage() (s rollout.Stage, err error) {
	s.Gate = f.Gate
	if share, ok := strings.CutSuffix(f.Part, "%"); ok {
		s.Percent, err = share64("part", share)
	} else if n, numErr := strconv.Atoi(f.Part); numErr == nil {
		s.Count = n
	} else {
		s.Filter = f.Part
	}
	var err1, err2, err3 error
	if f.Success != "" {
		s.SuccessPercent, err1 = share64("success", f.Success)
	}
	if f.Failure != "" {
		s.FailurePercent, err2 = share64("failure", f.Failure)
	}
	s.Soak, err3 = duration("soak", f.Soak)
	return s, errors.Join(err, err1, err2, err3)
}

func share64(name, text string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(text, "%")), 64)
	if err != nil || !(f > 0 && f <= 100) {
		return 0, fmt.Errorf("%s %q: %w: want a percentage above 0 and up to 100", name, text, api.ErrInvalid)
	}
	return f, nil
}

func wholeNumber(name, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s %q: %w: want a whole number", name, text, api.ErrInvalid)
	}
	return n, nil
}

func duration(name, text string) (rollout.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := rollout.ParseDuration(text)
	return d, named(name, err)
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %w", name, api.ErrInvalid, err)
}

// Chosen reports whether a day of the window is chosen.
func (d *draft) Chosen(day string) bool { return slices.Contains(d.Days, day) }

// Weekdays are the days that a window may be on.
func (d *draft) Weekdays() []string { return weekdays }

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
