package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/trust"
)

// An Event is one thing that happened on a line. What it says of a device is
// what the device's messages claim: the gateway has no key to check them.
type Event struct {
	Time    time.Time    `json:"time"`
	Line    string       `json:"line"`
	Event   string       `json:"event"`           // connected, lost, says, noise, check, offer, fetch, download, report, failed
	Device  string       `json:"device,omitzero"` // TYPE/ID
	Text    string       `json:"text,omitzero"`   // the event in words
	Done    int64        `json:"done,omitzero"`   // download: bytes
	Total   int64        `json:"total,omitzero"`  // download, fetch: bytes
	Reason  trust.Reason `json:"reason,omitzero"` // failed, report
	Version uint32       `json:"keyset_version,omitzero"`
}

// String returns the event as one line for people.
func (e Event) String() string {
	who := e.Line
	if e.Device != "" {
		who += " " + e.Device
	}
	return strings.TrimRight(fmt.Sprintf("%s  %s  %s  %s", e.Time.Format("15:04:05"), who, e.Event, e.Text), " ")
}
