package native

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// jsonCheckRequest is a check of a device without a key. What must be there is
// a pointer: absent is not the same as zero.
type jsonCheckRequest struct {
	Device           string             `json:"device"`
	DeviceType       string             `json:"device_type"`
	Nonce            *uint64            `json:"nonce"`
	Sequence         *manifest.Sequence `json:"sequence"`
	ImageDigest      *manifest.Digest   `json:"image_digest"`
	KeysetVersion    *uint32            `json:"keyset_version"`
	Boot             string             `json:"boot"`
	LastError        trust.Reason       `json:"last_error"`
	HardwareRevision string             `json:"hardware_revision"`
}

var bootStates = map[string]trust.BootState{
	"confirmed": trust.BootConfirmed, "trial": trust.BootTrial, "reverted": trust.BootReverted,
}

func decodeCheckRequest(raw []byte) (trust.CheckRequest, error) {
	var w jsonCheckRequest
	if err := protocol.DecodeJSON(raw, &w); err != nil {
		return trust.CheckRequest{}, fmt.Errorf("check request: %w", err)
	}
	boot, ok := bootStates[w.Boot]
	if !ok {
		return trust.CheckRequest{}, fmt.Errorf("check request: %w: boot %q", reason.InvalidField, w.Boot)
	}
	if w.Nonce == nil || w.Sequence == nil || w.ImageDigest == nil || w.KeysetVersion == nil {
		return trust.CheckRequest{}, fmt.Errorf("check request: %w: nonce, sequence, image_digest and keyset_version must be there", reason.InvalidField)
	}
	r := trust.CheckRequest{
		Device: w.Device, DeviceType: w.DeviceType, Nonce: *w.Nonce, Sequence: *w.Sequence, ImageDigest: *w.ImageDigest,
		KeysetVersion: *w.KeysetVersion, Boot: boot, LastError: w.LastError, HardwareRevision: w.HardwareRevision,
	}
	if err := (trust.DeviceID{DeviceType: r.DeviceType, ID: r.Device}).Validate(); err != nil {
		return trust.CheckRequest{}, fmt.Errorf("check request: %w", err)
	}
	return r, r.Validate()
}

// jsonCheckResponse answers it.
type jsonCheckResponse struct {
	Device        string      `json:"device"`
	Nonce         uint64      `json:"nonce"`
	ServerTime    uint64      `json:"server_time"` // seconds since 1970
	KeysetVersion uint32      `json:"keyset_version"`
	RetrySeconds  uint32      `json:"retry_seconds"`
	Update        *jsonUpdate `json:"update"` // null: nothing to install
}

type jsonUpdate struct {
	Manifest      manifest.Digest `json:"manifest"`
	Size          uint32          `json:"size"` // of the manifest, in bytes
	RetryRejected bool            `json:"retry_rejected"`
}

func encodeCheckResponse(r trust.CheckResponse) jsonCheckResponse {
	w := jsonCheckResponse{
		Device: r.Device, Nonce: r.Nonce, ServerTime: r.ServerTime, KeysetVersion: r.KeysetVersion, RetrySeconds: r.RetrySeconds,
	}
	if !r.ManifestHash.IsZero() {
		w.Update = &jsonUpdate{r.ManifestHash, r.ManifestSize, r.RetryRejected}
	}
	return w
}

// jsonReport is a report of a device without a key.
type jsonReport struct {
	Device      string             `json:"device"`
	DeviceType  string             `json:"device_type"`
	Nonce       *uint64            `json:"nonce"`
	Event       string             `json:"event"`
	Sequence    *manifest.Sequence `json:"sequence"`
	ImageDigest *manifest.Digest   `json:"image_digest"`
	Target      manifest.Digest    `json:"target"`
	Reason      trust.Reason       `json:"reason"`
	Detail      string             `json:"detail"`
}

func decodeReport(raw []byte) (trust.Report, error) {
	var w jsonReport
	if err := protocol.DecodeJSON(raw, &w); err != nil {
		return trust.Report{}, fmt.Errorf("report: %w", err)
	}
	if w.Nonce == nil || w.Sequence == nil || w.ImageDigest == nil {
		return trust.Report{}, fmt.Errorf("report: %w: nonce, sequence and image_digest must be there", reason.InvalidField)
	}
	event, err := parseEvent(w.Event)
	if err != nil {
		return trust.Report{}, err
	}
	r := trust.Report{
		Device: w.Device, DeviceType: w.DeviceType, Nonce: *w.Nonce, Event: event, Sequence: *w.Sequence,
		ImageDigest: *w.ImageDigest, Target: w.Target, Reason: w.Reason, Detail: w.Detail,
	}
	if err := (trust.DeviceID{DeviceType: r.DeviceType, ID: r.Device}).Validate(); err != nil {
		return trust.Report{}, fmt.Errorf("report: %w", err)
	}
	return r, r.Validate()
}

func parseEvent(name string) (trust.Event, error) {
	for e := trust.EventDownloading; e <= trust.EventKeyset; e++ {
		if e.String() == name {
			return e, nil
		}
	}
	return 0, fmt.Errorf("report: %w: event %q", reason.InvalidField, name)
}
