package inventory

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/fleet"
)

// A column of CSV, or a member of JSON, has one of these names.
const (
	columnType     = "device_type"
	columnDevice   = "device"
	columnVendor   = "vendor"
	columnLevel    = "level"
	columnHardware = "hardware_revision"
	columnLabels   = "labels"
	columnNote     = "note"
	columnHold     = "hold"
	columnPin      = "pin"
)

// setters take a cell into a device. Of an empty cell they take what the
// device then is: no labels, no note, no pin; but that a list says nothing of
// a vendor, level or hardware revision means that whatever it is is right.
var setters = map[string]func(d *fleet.ImportDevice, cell string) error{
	columnType:   func(d *fleet.ImportDevice, cell string) error { d.DeviceType = cell; return nil },
	columnDevice: func(d *fleet.ImportDevice, cell string) error { d.ID = cell; return nil },
	columnVendor: func(d *fleet.ImportDevice, cell string) error { d.Vendor = unlessEmpty(cell); return nil },
	columnLevel: func(d *fleet.ImportDevice, cell string) error {
		if cell == "" {
			return nil
		}
		d.Level = new(fleet.Level)
		return d.Level.UnmarshalText([]byte(cell))
	},
	columnHardware: func(d *fleet.ImportDevice, cell string) error { d.HardwareRevision = unlessEmpty(cell); return nil },
	columnLabels: func(d *fleet.ImportDevice, cell string) error {
		labels, err := parseLabels(cell)
		d.Labels = &labels
		return err
	},
	columnNote: func(d *fleet.ImportDevice, cell string) error { d.Note = &cell; return nil },
	columnHold: func(d *fleet.ImportDevice, cell string) error {
		switch cell {
		case "yes", "true", "1":
			d.Hold = new(true)
		case "no", "false", "0", "":
			d.Hold = new(false)
		default:
			return fmt.Errorf("%q: want yes or no", cell)
		}
		return nil
	},
	columnPin: func(d *fleet.ImportDevice, cell string) error { d.Pin = &cell; return nil },
}

func unlessEmpty(cell string) *string {
	if cell == "" {
		return nil
	}
	return &cell
}

// reported are the columns of an export that only the device and the server
// can say. An import takes no notice of them.
var reported = []string{
	"update_now", "state", "version", "sequence", "image_sha256", "keyset_version", "boot", "last_event", "last_error", "last_seen", "added_at",
}
