package console

import (
	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
)

// maxRecent is how many records of the audit log the overview shows.
const maxRecent = 12

// overview is what an operator sees first.
type overview struct {
	Devices   int
	Current   int // run the newest release of their type
	Busy      int // in the middle of an update
	Attention []concern
	Rollouts  []rolloutRow // that are on
	Types     []typeChart
	Day       *spark // nil: nothing happened, or it is not for the operator to see
	Records   []audit.Record
}

// typeChart is how far the devices of one type are.
type typeChart struct {
	DeviceType string
	Newest     string // version on offer; empty: none
	Devices    int
	Current    int // run it
	Versions   bar
	States     bar
}

func showOverview(v *visit) (*page, error) {
	o := &overview{}
	c, err := takeCensus(v)
	if err != nil {
		return nil, err
	}
	releases, err := v.releases()
	if err != nil {
		return nil, err
	}
	if v.can("audit.list") {
		if o.Records, err = v.AuditRecords(v.ctx(), audit.Filter{Limit: maxRecent}); err != nil {
			return nil, err
		}
		hours, err := v.lastDay()
		if err != nil {
			return nil, err
		}
		o.Day = sparkOf(hours)
	}
	rollouts, err := allRollouts(v)
	if err != nil {
		return nil, err
	}
	for _, r := range rollouts {
		if isOn(r.State) {
			o.Rollouts = append(o.Rollouts, r)
		}
	}
	if o.Attention, err = concerns(v, c, o.Rollouts, releases); err != nil {
		return nil, err
	}
	for _, t := range c {
		chart := chartOf(t, releases)
		o.Types = append(o.Types, chart)
		o.Devices += t.Devices
		o.Current += chart.Current
	}
	o.Busy = c.inStates(busyStates...)
	return &page{Title: "Overview", Section: "overview", Data: o}, nil
}

// busyStates are those of an update that is under way.
var busyStates = []string{"offered", "downloading", "installing", "trial"}

// chartOf draws a type; releases of a type come newest first.
func chartOf(t *typeCensus, releases []api.Release) typeChart {
	chart := typeChart{DeviceType: t.DeviceType, Devices: t.Devices}
	var newestFirst []string
	for _, r := range releases {
		if r.DeviceType != t.DeviceType {
			continue
		}
		newestFirst = append(newestFirst, r.Version.String())
		if chart.Newest == "" && r.Withdrawal == nil {
			chart.Newest = r.Version.String()
			chart.Current = t.Versions[chart.Newest]
		}
	}
	chart.Versions = versionBar(t.DeviceType, t.Versions, newestFirst)
	chart.States = stateBar(t.DeviceType, t.States)
	return chart
}
