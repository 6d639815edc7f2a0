package gateway

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// What messages say, read without a key and for the log only.

// peek reads the fields of a message that v has.
func peek(message []byte, typ cose.Typ, v any) bool {
	m, err := cose.ParseMac0(message, typ, trust.MaxMessage)
	return err == nil && dcbor.Peek(m.Payload, v) == nil
}

// senderOf returns who claims to have sent a check or a report: type and id.
func senderOf(k kind, message []byte) (deviceType, device string, ok bool) {
	var m struct {
		Device     string `cbor:"1,keyasint"`
		DeviceType string `cbor:"2,keyasint"`
	}
	typ := cose.TypCheckRequest
	if k == kindReport {
		typ = cose.TypReport
	}
	ok = peek(message, typ, &m) && manifest.CheckName(m.Device) == nil && manifest.CheckName(m.DeviceType) == nil
	return m.DeviceType, m.Device, ok
}

// describe says what a check or report tells.
func describe(k kind, message []byte) (text string, why trust.Reason) {
	if k == kindReport {
		return describeReport(message)
	}
	var m struct {
		Sequence manifest.Sequence `cbor:"4,keyasint"`
		Keyset   uint32            `cbor:"6,keyasint"`
		Boot     trust.BootState   `cbor:"7,keyasint"`
		Error    trust.Reason      `cbor:"8,keyasint"`
	}
	if !peek(message, cose.TypCheckRequest, &m) {
		return "not a check request", 0
	}
	text = fmt.Sprintf("runs sequence %s, keyset version %d", m.Sequence, m.Keyset)
	if m.Boot == trust.BootTrial {
		text += ", on trial"
	}
	if m.Error != 0 {
		text += ", last error: " + m.Error.Error()
	}
	return text, m.Error
}

func describeReport(message []byte) (text string, why trust.Reason) {
	var m struct {
		Event    trust.Event       `cbor:"4,keyasint"`
		Sequence manifest.Sequence `cbor:"5,keyasint"`
		Reason   trust.Reason      `cbor:"8,keyasint"`
		Detail   string            `cbor:"9,keyasint"`
	}
	if !peek(message, cose.TypReport, &m) {
		return "not a report", 0
	}
	text = fmt.Sprintf("%s, runs sequence %s", m.Event, m.Sequence)
	if m.Reason != 0 {
		text += ": " + m.Reason.Error()
	}
	if m.Detail != "" {
		text += fmt.Sprintf(" (%.*q)", trust.MaxDetail, m.Detail)
	}
	return text, m.Reason
}

// An offer is what a check response says, as far as the log needs it.
type offer struct {
	Keyset   uint32 `cbor:"5,keyasint"`
	Retry    uint32 `cbor:"6,keyasint"`
	Manifest []byte `cbor:"7,keyasint"`
}

func offerOf(response []byte) (o offer, text string) {
	if !peek(response, cose.TypCheckResponse, &o) {
		return o, "not a check response"
	}
	if len(o.Manifest) == 0 {
		return o, fmt.Sprintf("nothing to install, keyset version %d, asks again in %d s", o.Keyset, o.Retry)
	}
	return o, fmt.Sprintf("a release, manifest %.8x…, keyset version %d", o.Manifest, o.Keyset)
}
