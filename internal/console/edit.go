package console

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// An editChoice is one thing that operators change of devices.
type editChoice struct{ Op, Name string }

var editChoices = []editChoice{
	{"hold", "Hold: offer nothing"},
	{"unhold", "Release the hold"},
	{"label", "Set a label"},
	{"unlabel", "Remove a label"},
	{"pin", "Pin to a version"},
	{"unpin", "Remove the pin"},
	{"now", "Update now, without waiting in rollouts"},
	{"wait", "Wait in rollouts again"},
}

// readEdit reads an edit from a form, and says it in words.
func readEdit(v *visit) (edit fleet.Edit, words string, err error) {
	yes, no := true, false
	key, value := v.field("key"), v.field("value")
	switch op := v.field("op"); op {
	case "hold":
		return fleet.Edit{Hold: &yes}, "hold", nil
	case "unhold":
		return fleet.Edit{Hold: &no}, "release the hold of", nil
	case "now":
		return fleet.Edit{UpdateNow: &yes}, "update now", nil
	case "wait":
		return fleet.Edit{UpdateNow: &no}, "let wait in rollouts again", nil
	case "pin":
		return fleet.Edit{Pin: &value}, "pin to " + value, required("version", value)
	case "unpin":
		empty := ""
		return fleet.Edit{Pin: &empty}, "remove the pin of", nil
	case "label":
		return fleet.Edit{Labels: map[string]*string{key: &value}}, "label " + key + "=" + value + " on", required("key", key)
	case "unlabel":
		return fleet.Edit{Labels: map[string]*string{key: nil}}, "remove label " + key + " from", required("key", key)
	case "note":
		note := strings.ReplaceAll(v.field("note"), "\r\n", "\n")
		return fleet.Edit{Note: &note}, "note on", nil
	default:
		return edit, "", fmt.Errorf("edit devices: %w: unknown change %q", api.ErrInvalid, op)
	}
}

func required(what, value string) error {
	if value == "" {
		return fmt.Errorf("edit devices: %w: %s is empty", api.ErrInvalid, what)
	}
	return nil
}

func editDevice(v *visit) (string, error) {
	edit, _, err := readEdit(v)
	if err != nil {
		return "", err
	}
	_, err = v.EditDevice(v.ctx(), refOf(v), edit, v.field("why"))
	return deviceURL(refOf(v)) + "?done=edited", err
}

// bulkEdit asks whether many devices are to be changed.
type bulkEdit struct {
	Own                    string // type of whose devices the filter selects; empty: of all
	Filter, Op, Key, Value string
	Words                  string
	Edited                 fleet.Edited // what would be changed
}

// askBulkEdit shows how many devices an edit would change.
func askBulkEdit(v *visit) (*page, error) {
	edit, words, err := readEdit(v)
	if err != nil {
		return nil, err
	}
	ask := &bulkEdit{Own: v.ownType(), Filter: chosen(v), Op: v.field("op"), Key: v.field("key"), Value: v.field("value"), Words: words}
	if ask.Filter == "" {
		return nil, fmt.Errorf("edit devices: %w: no device is checked", api.ErrInvalid)
	}
	ask.Edited, err = v.EditDevices(v.ctx(), api.EditDevices{DeviceType: ask.Own, Filter: ask.Filter, Edit: edit, Limit: maxBulk, DryRun: true})
	return &page{Title: "Change devices", Section: "devices", Data: ask}, err
}

// maxBulk is how many devices are asked about at once.
const maxBulk = 1 << 20

// chosen is the filter of the devices that the form means: the checked ones, or
// all that its filter selects. Empty means that there are none.
func chosen(v *visit) string {
	if v.field("which") == "all" {
		return cmp.Or(v.field("filter"), "type~*")
	}
	byType := map[string][]string{}
	var types []string
	for _, name := range v.PostForm["device"] {
		deviceType, id, ok := strings.Cut(name, "/")
		if !ok {
			continue
		}
		if byType[deviceType] == nil {
			types = append(types, deviceType)
		}
		byType[deviceType] = append(byType[deviceType], equal("id", id))
	}
	slices.Sort(types)
	var groups []string
	for _, t := range types {
		groups = append(groups, where(equal("type", t), strings.Join(byType[t], " or ")))
	}
	return strings.Join(groups, " or ")
}

// bulkEditDevices changes the devices that were asked about: if meanwhile there
// are more, none.
func bulkEditDevices(v *visit) (string, error) {
	edit, _, err := readEdit(v)
	if err != nil {
		return "", err
	}
	matched, err := wholeNumber("devices", v.field("matched"))
	if err != nil {
		return "", err
	}
	filter := v.field("filter")
	_, err = v.EditDevices(v.ctx(), api.EditDevices{DeviceType: v.ownType(), Filter: filter, Edit: edit, Why: v.field("why"), Limit: max(matched, 1)})
	next := devicesURL(filter)
	if own := v.ownType(); own != "" {
		next += "&type=" + url.QueryEscape(own)
	}
	return next + "&done=bulk", err
}
