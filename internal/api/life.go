package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// reportPrefix precedes the event of a report in the audit log's actions.
const reportPrefix = "device.report."

// lifeEvent says in words what an audit record tells of a device. A record
// that this program does not know is told by its name.
func (l local) lifeEvent(ref fleet.Ref, r audit.Record) LifeEvent {
	e := LifeEvent{Seq: r.Seq, Time: r.Time, Actor: r.Actor, Address: r.Address, Hash: r.Hash}
	e.Event, e.Words = l.tell(ref, r)
	e.Evidence = evidenceOf(ref, r)
	return e
}

func evidenceOf(ref fleet.Ref, r audit.Record) Evidence {
	device := "device:" + ref.String()
	switch {
	case r.Actor == device+"?":
		return EvidenceClaim
	case r.Action == "device.offer":
		return EvidenceServer
	case r.Actor != device:
		return EvidenceOperator
	case strings.HasPrefix(r.Action, reportPrefix):
		return EvidenceReport
	case strings.HasPrefix(r.Action, "device.refused."):
		return EvidenceServer
	}
	return EvidenceCheck
}

// told is what the records about devices hold, all kinds of them.
type told struct {
	Sequence         manifest.Sequence `json:"sequence"`
	Digest           manifest.Digest   `json:"digest"`
	KeysetVersion    uint32            `json:"keyset_version"`
	Boot             string            `json:"boot"`
	LastError        trust.Reason      `json:"last_error"`
	HardwareRevision string            `json:"hardware_revision"`
	Level            string            `json:"level"`
	Version          string            `json:"version"`
	Reason           trust.Reason      `json:"reason"`
	Detail           string            `json:"detail"`
	Counts           *bool             `json:"counts"`
	Why              string            `json:"why"`
	Error            string            `json:"error"`
	fleet.Edit
}

func (l local) tell(ref fleet.Ref, r audit.Record) (event, words string) {
	var t told
	if len(r.After) > 0 {
		if err := json.Unmarshal(r.After, &t); err != nil {
			return r.Action, "what the record says is not known to this program"
		}
	}
	if event, ok := strings.CutPrefix(r.Action, reportPrefix); ok {
		return event, l.tellReport(ref, event, t)
	}
	switch r.Action {
	case "device.add":
		return "added", fmt.Sprintf("added, level %s", t.Level)
	case "device.enrol":
		return "enrolled", "enrolled itself with a code"
	case "device.state":
		return "state", l.tellState(ref, t)
	case "device.offer":
		if t.Version == "" {
			return "offer ended", "the offer ended"
		}
		return "offered", "offered " + t.Version
	case "device.download":
		return "download", "a download of the offered image began"
	case "device.revoke":
		return "revoked", because("shut out", t.Why)
	case "device.retry":
		return "retry", "told to try again what it rejected"
	case "device.edit":
		return "edited", because(t.Edit.Words(), t.Why)
	}
	return strings.TrimPrefix(r.Action, "device."), because(r.Action, t.Error)
}

func (l local) tellReport(ref fleet.Ref, event string, t told) string {
	runs := "runs " + l.nameOf(ref, t)
	why := ""
	if t.Reason != reason.None {
		why = t.Reason.Error()
	}
	why = strings.Join(slices.DeleteFunc([]string{why, t.Detail}, func(s string) bool { return s == "" }), ": ")
	switch {
	case event == trust.EventConfirmed.String() && t.Counts != nil && !*t.Counts:
		return because("confirmed an image that is no published release; "+runs, why)
	case event == trust.EventConfirmed.String():
		return because(l.nameOf(ref, t)+" proved itself", why)
	}
	return because(event+"; "+runs, why)
}

func (l local) tellState(ref fleet.Ref, t told) string {
	words := fmt.Sprintf("runs %s, boot %s, keyset %d", l.nameOf(ref, t), t.Boot, t.KeysetVersion)
	if t.HardwareRevision != "" {
		words += ", hardware " + t.HardwareRevision
	}
	if t.LastError != 0 {
		words += ", last error: " + t.LastError.Error()
	}
	return words
}

// nameOf names what runs: by its version if that is published.
func (l local) nameOf(ref fleet.Ref, t told) string {
	run := fleet.Running{Sequence: t.Sequence, Digest: t.Digest}
	if v := l.cfg.Fleet.VersionOf(ref.DeviceType, run); v != "" {
		return v
	}
	return fmt.Sprintf("an unpublished image %.12s…", t.Digest.String())
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}
