package console

import (
	"net/url"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// devicesPageSize is how many devices one page shows.
const devicesPageSize = 100

// devicesPage is a page of the list of devices.
type devicesPage struct {
	Devices []api.Device
	NextURL string // empty: there is no more
}

func showDevices(v *visit) (*page, error) {
	query := api.DeviceQuery{After: fleet.Ref{DeviceType: v.query("after_type"), ID: v.query("after")}, Limit: devicesPageSize + 1}
	list, err := v.Devices(v.ctx(), query)
	if err != nil {
		return nil, err
	}
	d := &devicesPage{Devices: list}
	if len(list) > devicesPageSize {
		d.Devices = list[:devicesPageSize]
		last := d.Devices[devicesPageSize-1].Ref
		d.NextURL = "/devices?" + url.Values{"after_type": {last.DeviceType}, "after": {last.ID}}.Encode()
	}
	return &page{Title: "Devices", Section: "devices", Data: d}, nil
}
