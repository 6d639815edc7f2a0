package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/inventory"
)

// errImportRefused means that a list has devices that cannot be as it says.
var errImportRefused = errors.New("nothing was imported")

type deviceImportOptions struct {
	env     *env.Env
	target  target
	update  bool
	dryRun  bool
	secrets string
}

func deviceImportCommand(e *env.Env) *cobra.Command {
	o := deviceImportOptions{env: e, target: target{env: e}}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Add devices from a CSV or JSON file, or edit those that exist",
		Long: `Add the devices of a file; with --update, give those that exist its labels, notes, holds and pins.

The whole file is tried first, and if one device is refused nothing is done. Then it is imported page by page,
each of which is done as a whole. If that breaks off, run the same command again with another file for
the secrets: what is done is left as it is.

The secrets of new devices go to a file that you alone can read, one device a line, in the form of
ota device add. They are shown this once. docs/fleet.md describes the columns.`,
		Example: `  ota device import devices.csv --dry-run
  ota device import devices.csv --secrets-out secrets.jsonl
  ota device import edited.csv --update`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.update, "update", false, "edit devices that exist; otherwise they are left as they are")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only say what would be done")
	flags.StringVar(&o.secrets, "secrets-out", "", "where the secrets of new devices go: `FILE`, which must not exist")
	o.target.flags(cmd)
	return cmd
}

func (o *deviceImportOptions) run(ctx context.Context, name string) error {
	if name == "-" {
		return exit.Usagef("the list is read twice: name a file")
	}
	if o.secrets == "-" {
		return exit.Usagef("secrets go to no terminal and no pipe: --secrets-out FILE")
	}
	return o.target.with(ctx, func(ctx context.Context, m api.Management) error {
		trial := importReport{Refused: []importRefusal{}}
		if err := o.pages(ctx, m, name, true, trial.take); err != nil {
			return err
		}
		switch {
		case len(trial.Refused) > 0:
			return o.refuse(trial)
		case o.dryRun:
			return o.print(trial)
		case trial.Added > 0 && o.secrets == "":
			return exit.Usagef("%d devices are new: say where their secrets go, --secrets-out FILE", trial.Added)
		}
		return o.commit(ctx, m, name, trial.Added > 0)
	})
}

// commit does what was tried.
func (o *deviceImportOptions) commit(ctx context.Context, m api.Management, name string, secrets bool) (err error) {
	done := importReport{Refused: []importRefusal{}}
	var file *fsatomic.Log
	if secrets {
		if file, err = fsatomic.CreateLog(fsatomic.OS(), o.secrets, 0o600); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
	}
	err = o.pages(ctx, m, name, false, func(page []inventory.Entry, answer fleet.Imported) error {
		if !answer.Committed {
			return errors.Join(done.take(page, answer), fmt.Errorf("%w: the devices changed in the meantime", errImportRefused))
		}
		return errors.Join(saveSecrets(file, answer), done.take(page, answer))
	})
	if err != nil {
		o.env.Say("before that: %d devices added, %d updated; run it again to do the rest", done.Added, done.Updated)
		return err
	}
	return o.print(done)
}

// saveSecrets writes the secrets of a page before the next page is asked for.
func saveSecrets(file *fsatomic.Log, answer fleet.Imported) error {
	var lines []byte
	for _, row := range answer.Devices {
		if row.Provisioning == nil {
			continue
		}
		line, err := json.Marshal(*row.Provisioning)
		if err != nil {
			return fmt.Errorf("secrets: %w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if len(lines) == 0 {
		return nil
	}
	if file == nil { // somebody removed devices between the two readings
		return fmt.Errorf("%w: devices are new that were not", errImportRefused)
	}
	return file.Append(lines)
}

// pages reads the file and asks for each page of it.
func (o *deviceImportOptions) pages(ctx context.Context, m api.Management, name string, dryRun bool, take func([]inventory.Entry, fleet.Imported) error) error {
	file, err := o.env.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	for page, err := range inventory.Pages(file, fleet.MaxImport) {
		if err != nil {
			return err
		}
		in := fleet.Import{Update: o.update, DryRun: dryRun}
		for _, e := range page {
			in.Devices = append(in.Devices, e.ImportDevice)
		}
		answer, err := m.ImportDevices(ctx, in)
		if err == nil && len(answer.Devices) != len(page) {
			err = errors.New("the answer is not about the devices that were asked for")
		}
		if err != nil {
			return fmt.Errorf("from %s on: %w", page[0].Place, err)
		}
		if err := take(page, answer); err != nil {
			return err
		}
	}
	return nil
}

// An importReport counts what became of the devices of a file.
type importReport struct {
	Added     int             `json:"added"`
	Updated   int             `json:"updated"`
	Unchanged int             `json:"unchanged"`
	Existing  int             `json:"exists"`
	Refused   []importRefusal `json:"refused"`
}

// An importRefusal is a device that cannot be as the file says.
type importRefusal struct {
	Place  string `json:"place"`
	Device string `json:"device"`
	Error  string `json:"error"`
}

func (r *importReport) take(page []inventory.Entry, answer fleet.Imported) error {
	for i, row := range answer.Devices {
		switch row.Outcome {
		case fleet.Added:
			r.Added++
		case fleet.Updated:
			r.Updated++
		case fleet.Unchanged:
			r.Unchanged++
		case fleet.Existing:
			r.Existing++
		default:
			r.Refused = append(r.Refused, importRefusal{page[i].Place.String(), page[i].Ref.String(), row.Error})
		}
	}
	return nil
}

func (o *deviceImportOptions) print(r importReport) error {
	text := record.Record{
		{Name: "added", Value: r.Added},
		{Name: "updated", Value: r.Updated},
		{Name: "unchanged", Value: r.Unchanged},
		{Name: "left as they are", Value: r.Existing},
	}
	if o.dryRun {
		text = append(text, record.Field{Name: "dry run", Value: true, Note: "nothing was changed"})
	} else if r.Added > 0 {
		text.Add("secrets", o.secrets)
	}
	return o.env.PrintData(r, text)
}

// maxShownRefusals is how many refusals people are shown.
const maxShownRefusals = 20

func (o *deviceImportOptions) refuse(r importReport) error {
	t := record.Table{}
	for _, refusal := range r.Refused[:min(len(r.Refused), maxShownRefusals)] {
		t = append(t, record.Record{
			{Name: "where", Value: refusal.Place}, {Name: "device", Value: refusal.Device}, {Name: "refused because", Value: refusal.Error},
		})
	}
	if err := o.env.PrintData(r, t); err != nil {
		return err
	}
	return fmt.Errorf("%w: refused: %s", errImportRefused, devices(len(r.Refused)))
}
