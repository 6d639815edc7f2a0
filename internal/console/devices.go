package console

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// devicesPageSize is how many devices one page shows.
const devicesPageSize = 100

// devicesPage is a page of the devices that a filter selects.
type devicesPage struct {
	Filter, Sort, Label string // as they were typed
	canonical           string // of the filter
	Wrong               *filter.Error
	Devices             []deviceRow
	Found               int // devices that the filter selects
	Facets              []facet
	Columns             []column
	NextURL             string // empty: there is no more
	First               bool   // it is the first page
	Own                 string // type of which an operator with a narrow scope sees devices; empty: all
	OwnTypes            []string
	Edits               []editChoice
}

// deviceRow is a device in a list.
type deviceRow struct {
	api.Device
	Labels []label
}

// A facet counts the devices that were found by one thing.
type facet struct {
	Name   string
	Values []facetValue
	More   int // devices with values that are not shown
}

type facetValue struct {
	Name    string
	Devices int
	Href    string // the list narrowed to them
}

// maxFacet is how many values of one thing are shown.
const maxFacet = 8

func showDevices(v *visit) (*page, error) {
	d := &devicesPage{Filter: strings.TrimSpace(v.query("filter")), Sort: v.query("sort"), Label: v.query("label"), Edits: editChoices,
		Own: v.ownType(), OwnTypes: v.actor.Scope.DeviceTypes}
	p := (&page{Title: "Devices", Section: "devices", Data: d}).as("devices")
	query := api.DeviceQuery{
		DeviceType: v.ownType(), Filter: d.Filter, Sort: d.Sort, After: fleet.Ref{DeviceType: v.query("after_type"), ID: v.query("after")},
		AfterKey: v.query("after_key"), Limit: devicesPageSize + 1,
	}
	d.First = query.After == fleet.Ref{}
	d.Columns = d.columns()
	list, err := v.Devices(v.ctx(), query)
	if wrong := errors.As(err, &d.Wrong); wrong || errors.Is(err, fleet.ErrInvalid) {
		return nil, &formError{form: p, cause: err, quiet: wrong}
	}
	if err != nil {
		return nil, err
	}
	if len(list) > devicesPageSize {
		list = list[:devicesPageSize]
		next := query.Next(list)
		d.NextURL = d.url(url.Values{"after_type": {next.After.DeviceType}, "after": {next.After.ID}, "after_key": {next.AfterKey}})
	}
	for _, one := range list {
		d.Devices = append(d.Devices, deviceRow{one, labelsOf(one.Labels)})
	}
	found, err := filter.Parse(d.Filter)
	if err != nil {
		return nil, err
	}
	d.canonical = found.String()
	sum, err := v.summary(api.SummaryQuery{DeviceType: d.Own, Filter: d.canonical, Label: d.Label})
	if errors.Is(err, api.ErrInvalid) {
		return nil, &formError{form: p, cause: err}
	}
	d.Found, d.Facets = sum.Devices, d.facets(sum)
	return p, err
}

// url is the list again with other parameters.
func (d *devicesPage) url(changes url.Values) string {
	query := url.Values{}
	for name, value := range map[string]string{"filter": d.Filter, "sort": d.Sort, "label": d.Label, "type": d.Own} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, values := range changes {
		query[name] = values
	}
	return "/devices?" + strings.ReplaceAll(query.Encode(), "+", "%20")
}

// column is the heading of a column by which the list can be sorted.
type column struct{ Name, Href, Order string }

func (d *devicesPage) columns() (list []column) {
	for _, c := range []struct{ name, field string }{
		{"Device", string(fleet.ByName)}, {"State", string(fleet.ByState)}, {"Version", string(fleet.ByVersion)},
		{"Keyset", string(fleet.ByKeyset)}, {"Last seen (UTC)", string(fleet.BySeen)},
	} {
		sort, order := c.field, ""
		switch cmp.Or(d.Sort, string(fleet.ByName)) {
		case c.field:
			sort, order = "-"+c.field, "ascending"
		case "-" + c.field:
			order = "descending"
		}
		list = append(list, column{c.name, d.url(url.Values{"sort": {sort}}), order})
	}
	return list
}

// facets counts what was found, over all device types.
func (d *devicesPage) facets(sum fleet.Summary) []facet {
	var types []fleet.Count
	merged := map[string]map[string]int{}
	add := func(field string, f fleet.Facet) {
		if merged[field] == nil {
			merged[field] = map[string]int{}
		}
		for _, c := range f.Counts {
			merged[field][c.Value] += c.Devices
		}
	}
	for _, t := range sum.Types {
		types = append(types, fleet.Count{Value: t.DeviceType, Devices: t.Devices})
		add("state", t.States)
		add("version", t.Versions)
		add("keyset", t.Keysets)
		add("hardware", t.Hardware)
		if d.Label != "" {
			add("label."+d.Label, t.Labels)
		}
	}
	list := []facet{d.facet("type", types)}
	for _, field := range []string{"state", "version", "keyset", "hardware", "label." + d.Label} {
		if counts := merged[field]; counts != nil {
			list = append(list, d.facet(field, sorted(counts)))
		}
	}
	return slices.DeleteFunc(list, func(f facet) bool { return len(f.Values) < 2 }) // one value narrows nothing
}

func sorted(counts map[string]int) (list []fleet.Count) {
	for value, n := range counts {
		list = append(list, fleet.Count{Value: value, Devices: n})
	}
	slices.SortFunc(list, func(a, b fleet.Count) int { return cmp.Or(b.Devices-a.Devices, cmp.Compare(a.Value, b.Value)) })
	return list
}

func (d *devicesPage) facet(field string, counts []fleet.Count) facet {
	f := facet{Name: strings.TrimPrefix(field, "label.")}
	for i, c := range counts {
		if i >= maxFacet {
			f.More += c.Devices
			continue
		}
		f.Values = append(f.Values, facetValue{cmp.Or(c.Value, "none"), c.Devices, d.url(url.Values{"filter": {where(d.canonical, equal(field, c.Value))}})})
	}
	return f
}
