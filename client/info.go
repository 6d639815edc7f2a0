package client

import (
	"time"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
)

// An Info describes the device to people and programs.
type Info struct {
	Vendor           string            `json:"vendor"`
	DeviceType       string            `json:"device_type"`
	Device           string            `json:"device"`
	HardwareRevision string            `json:"hardware_revision,omitzero"`
	Component        string            `json:"component,omitzero"`
	Level            int               `json:"level"` // 0: no device key
	Generation       uint32            `json:"generation,omitzero"`
	KeysetVersion    uint32            `json:"keyset_version"`
	SecurityFloor    uint32            `json:"security_floor"`
	Slot             string            `json:"slot"`    // active: a or b
	Version          string            `json:"version"` // "": nothing was installed
	Sequence         manifest.Sequence `json:"sequence"`
	ImageDigest      manifest.Digest   `json:"image_digest"`
	ConfirmedAt      time.Time         `json:"confirmed_at,omitzero"`
	Retained         string            `json:"retained,omitzero"` // version that RollbackFirmware may return to
	Phase            Phase             `json:"phase,omitzero"`
	Target           string            `json:"target,omitzero"` // version of the update under way
	Written          int64             `json:"written,omitzero"`
	Size             int64             `json:"size,omitzero"`
	Reverted         bool              `json:"reverted"`
	LastError        string            `json:"last_error,omitzero"`
	QueuedReports    int               `json:"queued_reports"`
	History          []HistoryEntry    `json:"history"` // confirmed releases, oldest first
	Problem          string            `json:"problem,omitzero"`
}

// A HistoryEntry is one release that ran here.
type HistoryEntry struct {
	Version     string            `json:"version"`
	Sequence    manifest.Sequence `json:"sequence"`
	ConfirmedAt time.Time         `json:"confirmed_at"`
}

// DeviceInfo describes the device from what it remembers. It changes nothing
// and asks nobody.
func (c *Client) DeviceInfo() Info {
	s, have := c.state, c.state.Rollback.Installed
	info := Info{
		Vendor: c.id.Vendor, DeviceType: c.id.DeviceType, Device: c.id.ID, HardwareRevision: c.id.hardware, Component: c.id.component,
		Generation: c.id.generation, KeysetVersion: c.keyset.Keyset().Version,
		SecurityFloor: s.Rollback.FloorFor(have.Sequence.Epoch(), c.keyset.Keyset().SecurityFloor),
		Slot:          SlotName(s.Active), Version: have.Version.String(), Sequence: have.Sequence, ImageDigest: have.ImageDigest,
		ConfirmedAt: have.ConfirmedAt, Phase: s.Update.Phase, Reverted: s.Reverted, QueuedReports: len(s.Reports),
		History: history(s.Rollback.History),
	}
	if c.id.keyed() {
		info.Level = 1
	}
	if s.Rollback.CheckReturn(s.Retained, c.keyset.Keyset().SecurityFloor) == nil {
		info.Retained = s.Retained.Version.String()
	}
	if s.Update.Phase != Idle {
		info.Target, info.Written, info.Size = s.Update.Entry.Version.String(), s.Update.Written, int64(s.Update.Entry.ImageSize)
	}
	if s.LastError != 0 {
		info.LastError = s.LastError.Error()
	}
	if c.lost != nil {
		info.Problem = c.lost.Error()
	}
	return info
}

func history(entries []rollback.Entry) []HistoryEntry {
	out := make([]HistoryEntry, 0, len(entries))
	for _, e := range entries {
		out = append(out, HistoryEntry{Version: e.Version.String(), Sequence: e.Sequence, ConfirmedAt: e.ConfirmedAt})
	}
	return out
}
