package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/offline/cheader"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/provision"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

type provisionOptions struct {
	env    *env.Env
	source provisionSource

	image  string // --flash-image
	patch  bool
	header string // --c-header
	symbol string

	flash provision.Flash
	areas []string
	roots bool

	firmware string
	manifest string
}

func deviceProvisionCommand(e *env.Env) *cobra.Command {
	o := provisionOptions{env: e, source: provisionSource{env: e, target: target{env: e}}, flash: provision.DefaultFlash}
	cmd := &cobra.Command{
		Use:   "provision [TYPE] ID",
		Short: "Write what a libota device is given: as a flash image, as a C header",
		Long: `Write what a microcontroller with libota is given to begin with: its id, its keys, whom it trusts, the
signed keyset, the prepared release keys and its first journal (docs/spec/provisioning.md).

The device is added to the server if it is not there. One that is there keeps its key: take it from the
file that "ota device add" wrote with --from, or make a new key, which ends the old one, with
--rotate-key. TYPE may be left out where the server has one device type.

The files hold the device's secret: mode 0600, never on standard output. An existing file is not
overwritten; --patch replaces the areas in an image of a whole flash.`,
		Example: `  ota device provision dev-0001 --flash-image dev-0001.bin
  ota device provision sensor_v1 dev-0001 --c-header provisioning.h
  ota device provision dev-0001 --flash-image flash.bin --patch --firmware app.bin --manifest app.bin.manifest
  ota device provision dev-0001 --flash-image f103.bin --page 1024 --unit 2 \
    --area device=0x2000:0x800 --area journal0=0x2800 --area journal1=0x2c00 --area keyset0=0x3000:0x800 --area keyset1=0x3800:0x800
  ota device provision dev-0001 --rotate-key --flash-image new.bin       # after the device lost its key`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: offline.CompleteTypes(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.image, "flash-image", "", "write an image of the flash to `FILE`")
	flags.BoolVar(&o.patch, "patch", false, "the flash image exists: replace only the areas in it")
	flags.StringVar(&o.header, "c-header", "", "write a C header to `FILE`")
	flags.StringVar(&o.symbol, "symbol", "provisioned", "the `PREFIX` of all C names")
	flags.IntVar(&o.flash.Page, "page", o.flash.Page, "bytes that one erase clears")
	flags.IntVar(&o.flash.Unit, "unit", o.flash.Unit, "bytes that one write writes: a power of two from 1 to 256")
	flags.Uint8Var(&o.flash.Erased, "erased", o.flash.Erased, "what an erased byte reads as: 0xff or 0x00")
	flags.StringArrayVar(&o.areas, "area", nil, "`NAME=OFFSET[:SIZE]`: place device, journal0, journal1, keyset0, keyset1 or firmware; may be repeated")
	flags.BoolVar(&o.roots, "with-roots", false, "give it the root keys too, not only their ids")
	flags.StringVar(&o.firmware, "firmware", "", "the image that the device is made with, in `FILE`")
	flags.StringVar(&o.manifest, "manifest", "", "its signed manifest or bundle, in `FILE`: the device holds that release")
	cmd.MarkFlagsOneRequired("flash-image", "c-header")
	o.source.flags(cmd)
	return cmd
}

func (o *provisionOptions) run(ctx context.Context, args []string) error {
	// All that can be refused is, before the server makes a key.
	layout, err := o.check()
	if err != nil {
		return err
	}
	base, firmware, signed, err := o.read()
	if err != nil {
		return err
	}
	if err := layout.Fits(base, firmware); err != nil {
		return err
	}
	for _, name := range []string{o.image, o.header} {
		if name == "" {
			continue
		}
		if err := env.TryOut(name); err != nil {
			return err
		}
	}
	raw, hardware, err := o.source.get(ctx, args)
	if err != nil {
		return o.source.spent(err)
	}
	d, err := o.device(raw, hardware, firmware, signed)
	if err == nil {
		err = o.write(d, layout, base)
	}
	if err != nil {
		return o.source.spent(err)
	}
	return o.env.Print(o.record(d, layout))
}

// check holds the flags against each other and against the files that are
// there.
func (o *provisionOptions) check() (provision.Layout, error) {
	if o.image == "-" || o.header == "-" {
		return provision.Layout{}, exit.Usagef("the device's secret goes to no terminal and no pipe: name a file")
	}
	if o.image == "" && (o.patch || o.firmware != "" || o.manifest != "") {
		return provision.Layout{}, exit.Usagef("--patch, --firmware and --manifest go with --flash-image")
	}
	if o.image != "" && o.header != "" && filepath.Clean(o.image) == filepath.Clean(o.header) {
		return provision.Layout{}, exit.Usagef("the flash image and the C header are two files")
	}
	if cheader.Symbol(o.symbol) != o.symbol {
		return provision.Layout{}, exit.Usagef("--symbol %q: %w", o.symbol, cheader.ErrSymbol)
	}
	layout, err := provision.NewLayout(o.flash, o.areas)
	if err != nil {
		return provision.Layout{}, exit.Usagef("%w", err)
	}
	if o.image != "" && !o.patch {
		if err := offline.RefuseExisting(o.image); err != nil {
			return provision.Layout{}, err
		}
	}
	if o.header != "" {
		return layout, offline.RefuseExisting(o.header)
	}
	return layout, nil
}

// read reads the files that are named.
func (o *provisionOptions) read() (base, firmware, signed []byte, err error) {
	if o.patch {
		if base, err = o.env.ReadFile(o.image, provision.MaxImage); err != nil {
			return nil, nil, nil, err
		}
	}
	if o.firmware != "" {
		if firmware, err = o.env.ReadFile(o.firmware, provision.MaxFirmware); err != nil {
			return nil, nil, nil, err
		}
		if len(firmware) == 0 {
			return nil, nil, nil, fmt.Errorf("firmware %s: %w: it is empty", o.firmware, trust.ErrImageSize)
		}
	}
	if o.manifest == "" {
		return base, firmware, nil, nil
	}
	if signed, err = o.env.ReadFile(o.manifest, trust.MaxBundle); err != nil {
		return nil, nil, nil, err
	}
	if bundle, err := trust.DecodeBundle(signed); err == nil && bundle.Manifest != nil {
		signed = bundle.Manifest
	}
	return base, firmware, signed, nil
}

func (o *provisionOptions) device(raw []byte, hardware string, firmware, signed []byte) (*provision.Device, error) {
	d, err := provision.New(raw, o.roots)
	if err != nil {
		return nil, err
	}
	if hardware != "" {
		if err := manifest.CheckName(hardware); err != nil {
			return nil, fmt.Errorf("hardware revision: %w", err)
		}
		d.Hardware = hardware
	}
	return d, d.SetFirmware(firmware, signed)
}

// write makes both files before it writes one.
func (o *provisionOptions) write(d *provision.Device, layout provision.Layout, base []byte) (err error) {
	var image, header []byte
	if o.image != "" {
		if image, err = d.Image(layout, base); err != nil {
			return err
		}
	}
	if o.header != "" {
		if header, err = d.Header(o.symbol); err != nil {
			return err
		}
	}
	if o.image != "" {
		if err := o.writeImage(image); err != nil {
			return err
		}
		o.source.made = false // the key is in the image, whatever becomes of the header
	}
	if o.header == "" {
		return nil
	}
	return o.env.CreateFile(o.header, header, 0o600)
}

func (o *provisionOptions) writeImage(image []byte) error {
	if o.patch {
		return o.env.WriteFile(o.image, image, 0o600)
	}
	return o.env.CreateFile(o.image, image, 0o600)
}

func (o *provisionOptions) record(d *provision.Device, layout provision.Layout) record.Record {
	said := record.Record{
		{Name: "device type", Value: d.DeviceType},
		{Name: "device", Value: d.ID},
		{Name: "key generation", Value: d.Generation},
		{Name: "keyset version", Value: d.KeysetVersion()},
	}
	var keys record.Table
	for _, id := range d.KeyIDs() {
		keys = append(keys, record.Record{{Name: "key id", Value: id}})
	}
	said.Add("keys", keys)
	if o.header != "" {
		said.Addn("c header", o.header, "holds the device's secret")
	}
	if o.image == "" {
		return said
	}
	said.Addn("flash image", o.image, "holds the device's secret")
	var areas record.Table
	for _, a := range layout.Areas() {
		areas = append(areas, record.Record{
			{Name: "area", Value: a.Name},
			{Name: "offset", Value: address(a.Offset)},
			{Name: "size", Value: address(a.Size)},
		})
	}
	said.Add("areas", areas)
	return said
}

// An address is shown in hex to people, and is a number in JSON.
type address int

// Format writes the address.
func (a address) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "0x%x", int(a)) }
