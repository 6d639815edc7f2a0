package console

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/inventory"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

// Bounds of an import in the console. Longer lists are the command line's.
const (
	maxImportFile  = 2 << 20 // bytes
	maxShownImport = 1000    // devices that are shown row by row
)

// importPage is a list of devices on its way in: what became of it, or would.
type importPage struct {
	Update  bool
	Tried   bool // Rows say what would become of the devices
	Done    bool // Rows say what became of them
	Counts  []fleet.Count
	Changes int // devices that are added or updated
	Refused int
	Rows    []importRow // the refused first
	More    int         // rows that are not shown
	Secrets string      // of new devices, one a line, shown this once
	File    string      // in base64: the form sends it again
}

// importRow is what became of one device of the list.
type importRow struct {
	Place, DeviceType, ID string
	Outcome               fleet.Outcome
	Words                 string
}

func importForm(i *importPage) *page {
	return (&page{Title: "Import devices", Section: "devices", Data: i}).as("import")
}

func showImport(v *visit) (*page, error) {
	return importForm(&importPage{}), v.require("device.import")
}

// tryImport takes the file, and shows what it would change.
func tryImport(v *visit) (*page, error) {
	if err := v.require("device.import"); err != nil {
		return nil, err
	}
	update := v.query("update") != ""
	raw, err := chosenFile(v, "devices", maxImportFile)
	if err != nil {
		return nil, &formError{form: importForm(&importPage{Update: update}), cause: err}
	}
	i := &importPage{Update: update, Tried: true, File: base64.StdEncoding.EncodeToString(raw)}
	if err := v.importPages(i, raw, true); err != nil {
		return nil, &formError{form: importForm(&importPage{Update: update}), cause: err}
	}
	return importForm(i.arranged()), nil
}

// importDevices does what was shown, page by page. What the pages before a
// failure brought is shown all the same: nobody sees those secrets again.
func importDevices(v *visit) (*page, error) {
	raw, err := sentFile(v, maxImportFile)
	if err != nil {
		return nil, err
	}
	trial := &importPage{Update: v.field("update") != "", Tried: true, File: v.field("file")}
	if err := v.importPages(trial, raw, true); err != nil {
		return nil, err
	}
	if trial.Refused > 0 {
		return nil, &formError{form: importForm(trial.arranged()), cause: fmt.Errorf("import devices: %w: %s refused", errChanged, count(trial.Refused, "device"))}
	}
	done := &importPage{Update: trial.Update, Done: true}
	if err := v.importPages(done, raw, false); err != nil {
		return nil, &formError{form: importForm(done.arranged()), cause: err}
	}
	return importForm(done.arranged()), nil
}

// errChanged means that the devices are not any more as they were shown.
var errChanged = fmt.Errorf("%w: the devices changed in the meantime, and nothing was imported", api.ErrInvalid)

// importPages asks for each page of a list, and notes the answers.
func (v *visit) importPages(i *importPage, raw []byte, dryRun bool) error {
	for entries, err := range inventory.Pages(bytes.NewReader(raw), fleet.MaxImport) {
		var wrong *inventory.Error
		if errors.As(err, &wrong) {
			return fmt.Errorf("read list: %w: %w", api.ErrInvalid, err)
		}
		if err != nil {
			return err
		}
		in := fleet.Import{Update: i.Update, DryRun: dryRun}
		for _, e := range entries {
			in.Devices = append(in.Devices, e.ImportDevice)
		}
		answer, err := v.ImportDevices(v.ctx(), in)
		if err == nil {
			err = i.take(entries, answer)
		}
		if err == nil && !dryRun && !answer.Committed {
			err = errChanged
		}
		if err != nil {
			return fmt.Errorf("from %s on: %w", entries[0].Place, err)
		}
	}
	return nil
}

// take notes what became of a page.
func (i *importPage) take(entries []inventory.Entry, answer fleet.Imported) error {
	var errs []error
	for n, done := range answer.Devices {
		row := importRow{Place: entries[n].Place.String(), DeviceType: entries[n].DeviceType, ID: entries[n].ID, Outcome: done.Outcome, Words: done.Error}
		switch done.Outcome {
		case fleet.Rejected:
			i.Refused++
		case fleet.Added, fleet.Updated:
			i.Changes++
		}
		if done.Change != nil {
			row.Words = done.Change.Words()
		}
		if done.Provisioning != nil {
			line, err := json.Marshal(*done.Provisioning)
			i.Secrets += string(line) + "\n"
			errs = append(errs, err)
		}
		i.Rows = append(i.Rows, row)
	}
	return errors.Join(errs...)
}

// arranged counts the rows and puts the refused first.
func (i *importPage) arranged() *importPage {
	counts := map[string]int{}
	for _, row := range i.Rows {
		counts[string(row.Outcome)]++
	}
	i.Counts = sorted(counts)
	slices.SortStableFunc(i.Rows, func(a, b importRow) int {
		return cmp.Compare(importOrder[a.Outcome], importOrder[b.Outcome])
	})
	i.More = max(0, len(i.Rows)-maxShownImport)
	i.Rows = i.Rows[:len(i.Rows)-i.More]
	return i
}

// importOrder is the order of the outcomes: what somebody has to look at first.
var importOrder = map[fleet.Outcome]int{fleet.Rejected: 0, fleet.Updated: 1, fleet.Added: 2, fleet.Existing: 3, fleet.Unchanged: 4}

// saveSecrets answers with the secrets of a page as a file. They come with the
// form: the server has forgotten them.
func saveSecrets(v *visit) (string, error) {
	if err := v.require("device.import"); err != nil {
		return "", err
	}
	raw, err := sentFile(v, 2*maxImportFile)
	if err != nil {
		return "", err
	}
	v.attach("secrets.jsonl")
	protocol.WriteBytes(v.w, 200, "application/jsonl", raw)
	return "", nil
}

// attach makes a file of the answer.
func (v *visit) attach(name string) {
	v.w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
}

// SecretsFile is Secrets as the form sends them.
func (i *importPage) SecretsFile() string {
	return base64.StdEncoding.EncodeToString([]byte(i.Secrets))
}
