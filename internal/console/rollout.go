package console

import (
	"net/url"
	"slices"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

func rolloutURL(name string) string { return "/rollouts/" + name }

// rolloutRow is a rollout in a list.
type rolloutRow struct {
	rollout.Rollout
	Track track
}

// allRollouts reads the rollouts, those first that need somebody or are on.
func allRollouts(v *visit) (rows []rolloutRow, err error) {
	list, err := inOwnTypes(v, func(deviceType string) (list []rollout.Rollout, err error) {
		for query := (rollout.Query{DeviceType: deviceType, Limit: api.MaxPage}); ; {
			page, err := v.Rollouts(v.ctx(), query)
			if list = append(list, page...); err != nil || len(page) < query.Limit {
				return list, err
			}
			query.After = page[len(page)-1].Name
		}
	})
	for _, r := range list {
		rows = append(rows, rolloutRow{r, trackOf(r.Progress.Counts, r.Progress.Target, rolloutDevicesURL(r.Name))})
	}
	slices.SortStableFunc(rows, func(a, b rolloutRow) int {
		if c := slices.Index(urgency, a.State) - slices.Index(urgency, b.State); c != 0 {
			return c
		}
		return b.ChangedAt.Compare(a.ChangedAt)
	})
	return rows, err
}

// urgency is the order of states in which somebody wants to see rollouts.
var urgency = []rollout.State{
	rollout.Halted, rollout.Awaiting, rollout.Running, rollout.Paused, rollout.Scheduled, rollout.Draft, rollout.Completed, rollout.Aborted,
}

// isOn reports whether a rollout is neither a draft nor at its end.
func isOn(s rollout.State) bool {
	return s != rollout.Draft && s != rollout.Completed && s != rollout.Aborted
}

func showRollouts(v *visit) (*page, error) {
	rows, err := allRollouts(v)
	return &page{Title: "Rollouts", Section: "rollouts", Data: rows}, err
}

// maxSteps is how many records of a rollout's history its page shows.
const maxSteps = 20

// rolloutPage is a rollout, how far it is, and what can be done with it.
type rolloutPage struct {
	rollout.Rollout
	Track   track
	Stages  []stageRow
	Facts   []fact
	Steps   []order
	History []audit.Record
	Percent string
}

// stageRow is one stage of a rollout.
type stageRow struct {
	rollout.StageProgress
	Number int
	Open   bool // it is the one that is open
	Done   bool
	Track  track
}

func showRollout(v *visit) (*page, error) {
	r, err := v.Rollout(v.ctx(), v.PathValue("name"))
	if err != nil {
		return nil, err
	}
	p := &rolloutPage{
		Rollout: r, Track: trackOf(r.Progress.Counts, r.Progress.Target, rolloutDevicesURL(r.Name)), Facts: factsOf(r.Spec, r.SendBackVersion),
		Steps: ordersFor(r, v.actor), Percent: percent(r.Progress.Confirmed, r.Progress.Target),
	}
	for i, s := range r.Progress.Stages {
		p.Stages = append(p.Stages, stageRow{s, i + 1, i+1 == r.Stage, i+1 < r.Stage || r.State == rollout.Completed, trackOf(s.Counts, 0, "")})
	}
	if v.can("audit.list") {
		p.History, err = v.AuditRecords(v.ctx(), audit.Filter{Object: "rollout:" + r.Name, Limit: maxSteps})
	}
	return &page{Title: r.Name, Section: "rollouts", Data: p}, err
}

// An order is something that the operator may do with a rollout now.
type order struct {
	rollout.Action
	Words    string // what it does
	NeedsWhy bool
	Danger   bool
	Name     string // of the rollout
}

var orderWords = map[rollout.Action]string{
	rollout.Start:   "Devices are offered the release, stage after stage.",
	rollout.Approve: "You agree, as the second person, and it starts.",
	rollout.Pause:   "Nothing more is offered. What devices have begun goes on.",
	rollout.Resume:  "It goes on where it stands. After a halt, what failed before no longer counts against it.",
	rollout.Advance: "The next stage opens now, whatever its gate, its time and its successes say.",
	rollout.Halt:    "Nothing more is offered but, if there is one, the way back. It goes on only with a reason.",
	rollout.Abort:   "It ends for good. What devices run stays as it is.",
	rollout.Delete:  "The draft goes.",
}

// ordersFor are the actions that the rollout's state and the operator's role
// allow. It is the API that refuses the others.
func ordersFor(r rollout.Rollout, actor auth.Actor) (list []order) {
	for _, a := range r.Actions {
		last := a == rollout.Advance && r.Stage >= len(r.Spec.Stages)
		own := a == rollout.Approve && actor.Name == r.CreatedBy
		if !can(actor, "rollout."+string(a), r.DeviceType) || last || own {
			continue
		}
		list = append(list, order{
			Action: a, Words: orderWords[a], NeedsWhy: a.NeedsWhy(r.State), Name: r.Name,
			Danger: a == rollout.Halt || a == rollout.Abort || a == rollout.Delete,
		})
	}
	return list
}

func actOnRollout(v *visit) (string, error) {
	name, action := v.PathValue("name"), rollout.Action(v.PathValue("action"))
	if _, err := v.ActOnRollout(v.ctx(), name, action, v.field("why")); err != nil {
		return "", err
	}
	if action == rollout.Delete {
		return "/rollouts?done=deleted", nil
	}
	return rolloutURL(name), nil
}

// rolloutDevices is a page of the devices that a rollout has touched.
type rolloutDevices struct {
	rollout.Rollout
	State   rollout.DeviceState
	States  []rollout.DeviceState
	Devices []rollout.Device
	NextURL string
}

func rolloutDevicesURL(name string) string { return rolloutURL(name) + "/devices" }

func showRolloutDevices(v *visit) (*page, error) {
	r, err := v.Rollout(v.ctx(), v.PathValue("name"))
	if err != nil {
		return nil, err
	}
	d := &rolloutDevices{Rollout: r, State: rollout.DeviceState(v.query("state")), States: rollout.DeviceStates}
	d.Devices, err = v.RolloutDevices(v.ctx(), r.Name, rollout.DeviceQuery{State: d.State, After: v.query("after"), Limit: devicesPageSize + 1})
	if err != nil {
		return nil, err
	}
	if len(d.Devices) > devicesPageSize {
		d.Devices = d.Devices[:devicesPageSize]
		d.NextURL = "?" + url.Values{"state": {string(d.State)}, "after": {d.Devices[devicesPageSize-1].ID}}.Encode()
	}
	return &page{Title: r.Name + ": devices", Section: "rollouts", Data: d}, nil
}
