package console

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/inventory"
	"github.com/secure-ota/secure-ota/internal/protocol"
)

// A deviceWriter writes a list of devices.
type deviceWriter interface {
	Write(api.Device) error
	Close() error
}

// ExportURL returns where the devices of the page are as a file.
func (d *devicesPage) ExportURL(format string) string {
	q := url.Values{"format": {format}, "filter": {d.Filter}}
	if d.Own != "" {
		q.Set("type", d.Own)
	}
	return "/devices/export?" + q.Encode()
}

// exportDevices answers with the devices that a filter selects as a file. One
// that breaks off breaks the connection, so that nobody takes a part for all.
func exportDevices(v *visit) (string, error) {
	query := api.DeviceQuery{DeviceType: v.ownType(), Filter: v.query("filter")}
	if _, err := filter.Parse(query.Filter); err != nil {
		return "", err
	}
	name := "devices-" + v.now.Format(time.DateOnly)
	out := bufio.NewWriterSize(v.w, 64<<10)
	var w deviceWriter
	var err error
	switch format := v.query("format"); format {
	case "json":
		v.attach(name + ".json")
		v.w.Header().Set("Content-Type", "application/json")
		w = inventory.NewJSONWriter(out)
	case "csv":
		v.attach(name + ".csv")
		v.w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
		w, err = inventory.NewCSVWriter(out)
	default:
		return "", fmt.Errorf("export devices: %w: format %q: want csv or json", api.ErrInvalid, format)
	}
	control := http.NewResponseController(v.w)
	n := 0
	err = errors.Join(err, api.EachDevice(v.ctx(), v, query, 0, func(d api.Device) error {
		if n%api.MaxPage == 0 { // a long list takes its time
			if err := control.SetWriteDeadline(time.Now().Add(protocol.StallTime)); err != nil {
				return err
			}
		}
		n++
		return w.Write(d)
	}))
	if err == nil {
		err = errors.Join(w.Close(), out.Flush())
	}
	if err != nil && n < api.MaxPage/10 { // nothing of it has left
		v.w.Header().Del("Content-Disposition")
		v.w.Header().Del("Content-Type")
		return "", err
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return "", nil
}
