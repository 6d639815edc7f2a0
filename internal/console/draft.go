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
}

// stageForm is the form of one stage.
type stageForm struct {
	Part, Success, Failure, Soak string
	Gate                         bool
	Number                       int
	Devices                      int // by the plan
}

// weekdays are the days of a maintenance window, in the order of the form.
var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

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
	return s, errors.Join(d.limits(&s), d.stages(&s))
}

// limits reads what the rollout holds to.
func (d *draft) limits(s *rollout.Spec) error {
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	whole := func(name, text string) int {
		n, err := wholeNumber(name, text)
		note(err)
		return n
	}
	s.Pace, s.MaxUnproven = whole("pace", d.Pace), whole("at risk", d.MaxUnproven)
	if s.Retries = whole("retries", d.Retries); d.Retries == "0" {
		s.Retries = rollout.NoRetries
	}
	var err error
	s.Timeout, err = duration("time-out", d.Timeout)
	note(err)
	if d.StartAt != "" {
		s.StartAt, err = time.Parse("2006-01-02T15:04", d.StartAt)
		note(named("start", err))
	}
	s.Window, err = d.window()
	note(err)
	return errors.Join(errs...)
}

func (d *draft) stages(s *rollout.Spec) error {
	var errs []error
	for i, stage := range d.Stages {
		parsed, err := stage.stage()
		if err != nil {
			errs = append(errs, fmt.Errorf("stage %d: %w", i+1, err))
		}
		s.Stages = append(s.Stages, parsed)
	}
	return errors.Join(errs...)
}

func (d *draft) window() (*rollout.Window, error) {
	if d.From == "" && d.To == "" && len(d.Days) == 0 {
		return nil, nil
	}
	from, to := d.From, d.To
	if from == "" && to == "" { // days alone; a window has to end somewhere
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
