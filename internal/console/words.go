package console

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/trust"
)

// phrases says in words what an action is. {} stands for its object; what
// follows is told of what was recorded with it.
var phrases = map[string]string{
	"release.publish":  "published a release",
	"release.withdraw": "withdrew {}",
	"sbom.add":         "stored an SBOM",
	"refused.sbom":     "was refused an SBOM",
	"image.remove":     "removed {}, which no release names",
	"image.replace":    "put {} in the place of a damaged copy",
	"keyset.add":       "published a keyset",
	"device.add":       "added {}",
	"device.enrol":     "enrolled",
	"device.edit":      "edited {}",
	"devices.import":   "imported devices",
	"device.populate":  "made simulated devices",
	"devices.edit":     "edited devices",
	"device.revoke":    "revoked {}",
	"device.retry":     "told {} to try again what it rejected",
	"device.state":     "showed a new state",
	"device.offer":     "was offered a release",
	"device.download":  "began to download",
	"enrolment.add":    "made an enrolment code for {}",
	"secret.add":       "noted the fingerprint of {}",
	"storage.migrate":  "moved everything to another database",
	"storage.resume":   "stores changes again",
	"token.add":        "made {}",
	"server.restore":   "restored the server from {}",
	"token.rotate":     "replaced the secret of {}",
	"token.revoke":     "revoked {}",
	"session.open":     "logged in to the console",
	"session.close":    "logged out of the console",
	"session.revoke":   "ended the sessions of {}",
	"refused.login":    "was refused a login: the identity provider gives no role that counts here",

	"device.report.downloading": "accepted a manifest and downloads",
	"device.report.installed":   "installed a release and boots it next",
	"device.report.trial":       "runs a release on trial",
	"device.report.confirmed":   "confirmed what it runs",
	"device.report.reverted":    "went back to its previous image",
	"device.report.refused":     "refused what it was offered",
	"device.report.failed":      "could not fetch or store a release",
	"device.report.keyset":      "accepted a newer keyset",

	"device.refused.revoked": "is revoked and was turned away",
	"device.refused.invalid": "sent a message that is authentic but invalid",
	"refused":                "turned away who did not authenticate",
	"refused.forbidden":      "was refused {}: its role does not allow it",
	"refused.publish":        "was refused a publication",
	"refused.keyset":         "was refused a keyset",
	"refused.upload":         "was refused {}",

	"rollout.create":   "drafted {}",
	"rollout.start":    "started {}",
	"rollout.approve":  "approved {}",
	"rollout.pause":    "paused {}",
	"rollout.resume":   "resumed {}",
	"rollout.advance":  "let the next stage of {} begin",
	"rollout.halt":     "halted {}",
	"rollout.abort":    "aborted {}",
	"rollout.delete":   "deleted the draft of {}",
	"rollout.open":     "opened a stage of {}",
	"rollout.complete": "saw {} to its end",
	"rollout.timeout":  "gave up a device of {}",
	"type.set":         "changed the settings of {}",

	"refused.rollout.create":  "was refused a rollout",
	"refused.rollout.start":   "could not start {}",
	"refused.rollout.approve": "could not approve {}",
	"refused.rollout.resume":  "could not resume {}",
	"refused.rollout.advance": "could not let the next stage of {} begin",
}

// sentence says in words what a record says. An action that has no words yet
// stands as itself.
func sentence(r audit.Record) string {
	phrase, ok := phrases[r.Action]
	if !ok {
		phrase = r.Action + " {}"
	}
	kind, name, ok := strings.Cut(r.Object, ":")
	switch {
	case !ok:
		name = r.Object
	case len(name) == 64: // a digest
		name = kind + " " + name[:8] + "…"
	default:
		name = kind + " " + name
	}
	words := strings.ReplaceAll(phrase, "{}", name)
	if why := details(r); why != "" {
		words += ": " + why
	}
	return words
}

// details picks what people want to know of what was recorded with an action.
func details(r audit.Record) string {
	var after struct {
		DeviceType string       `json:"device_type"`
		Device     string       `json:"device"`
		Version    any          `json:"version"`
		Level      string       `json:"level"`
		Role       string       `json:"role"`
		Boot       string       `json:"boot"`
		Sequence   string       `json:"sequence"`
		Why        string       `json:"why"`
		Reason     trust.Reason `json:"reason"`
		Detail     string       `json:"detail"`
	}
	if len(r.After) == 0 || json.Unmarshal(r.After, &after) != nil {
		return ""
	}
	var parts []string
	add := func(label, text string) {
		if text != "" {
			parts = append(parts, strings.TrimSpace(label+" "+text))
		}
	}
	if !strings.HasSuffix(r.Object, ":"+after.DeviceType) { // it was named
		add("", after.DeviceType)
	}
	add("", after.Device)
	if after.Version != nil {
		add("", fmt.Sprint(after.Version))
	}
	add("", after.Level)
	add("", after.Role)
	add("", after.Boot)
	if after.Version == nil {
		add("sequence", after.Sequence)
	}
	add("", after.Why)
	if after.Reason != 0 {
		add("", after.Reason.Error())
	}
	add("", after.Detail)
	return strings.Join(parts, ", ")
}

// objectURL is the page of what a record is about; of what has none, its
// records.
func objectURL(object string) string {
	kind, name, _ := strings.Cut(object, ":")
	switch kind {
	case "device":
		return "/devices/" + name
	case "release":
		return "/releases/" + name
	case "rollout":
		return rolloutURL(name)
	case "token":
		return "/settings#tokens"
	case "type":
		return "/settings#types"
	}
	return "/audit?" + url.Values{"object": {object}}.Encode()
}
