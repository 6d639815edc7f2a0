package rollout

import (
	"strings"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/trust"
)

// maxReason bounds what is kept of a device's words, in bytes.
const maxReason = 256

// Witness implements fleet.Rollouts: it takes what a device says of itself
// into the rollouts that touched it, whatever has become of them.
func (e *Engine) Witness(tx *store.Tx, d *fleet.Device, w fleet.Testimony) (settle func(), err error) {
	const ofDevice = `WHERE device_type = $1 AND device = $2 ORDER BY rollout`
	list, err := readTouched(tx, ofDevice, d.DeviceType, d.ID)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	revision, err := touch(tx)
	if err != nil {
		return nil, err
	}
	// Read again: before this transaction's turn another may have changed them.
	if list, err = readTouched(tx, ofDevice, d.DeviceType, d.ID); err != nil {
		return nil, err
	}
	var ledgers []*ledger
	for _, t := range list {
		r, err := loadRow(tx, t.rollout)
		if err != nil {
			return nil, err
		}
		l := &ledger{tx: tx, row: r, revision: revision}
		if err := l.hear(t, d, w); err != nil {
			return nil, err
		}
		if len(l.devices) > 0 {
			if err := l.close(); err != nil {
				return nil, err
			}
			ledgers = append(ledgers, l)
		}
	}
	return e.settled(rowsOf(ledgers)), nil
}

// hear takes a testimony into what a rollout knows of a device.
func (l *ledger) hear(t *touched, d *fleet.Device, w fleet.Testimony) error {
	if back := l.row.facts.Back; back != nil && w.Proven && w.Runs == back.Running && !t.sentBack {
		t.sentBack = true
		if err := l.tallyAs(t.stage, sentBack, NoEvidence, 1); err != nil {
			return err
		}
		return l.move(t, t.state, t.evidence)
	}
	state, evidence := l.row.verdict(t, d, w)
	if state == t.state && evidence == t.evidence {
		return nil
	}
	switch {
	case state.ended() || state == Retrying:
		t.reason = reasonOf(w)
	case state == Confirmed:
		t.reason = ""
	}
	return l.move(t, state, evidence)
}

// verdict says where a device stands after a testimony.
func (r *row) verdict(t *touched, d *fleet.Device, w fleet.Testimony) (DeviceState, Evidence) {
	to := &r.facts.Release
	switch {
	case w.Claimed:
		if t.state == Offered && w.About == to.Hash {
			return Downloading, NoEvidence
		}
	case w.Proven && w.Runs == to.Running:
		return Confirmed, stronger(t.evidence, evidenceOf(d, w))
	case t.state == Confirmed && w.Ran == to.Running && w.Runs.Sequence < to.Sequence:
		return Reverted, NoEvidence // it was fine, and went back all the same
	case w.Boot == trust.BootTrial && w.Runs == to.Running:
		return t.onTheWay(Trial)
	case w.About == to.Hash:
		return r.verdictOn(t, w)
	}
	return t.state, t.evidence
}

// verdictOn is verdict of an event that is about the release.
func (r *row) verdictOn(t *touched, w fleet.Testimony) (DeviceState, Evidence) {
	switch {
	case w.Event == trust.EventDownloading:
		return t.onTheWay(Downloading)
	case w.Event == trust.EventInstalled:
		return t.onTheWay(Installed)
	case w.Event == trust.EventReverted || w.Event == 0 && w.Boot == trust.BootReverted:
		if t.state != Confirmed && t.state != Left || w.Event == trust.EventReverted {
			return Reverted, NoEvidence
		}
	case w.Event == trust.EventRefused && w.Lasting && t.state != Confirmed && t.state != Left:
		return Refused, NoEvidence
	case (w.Event == trust.EventRefused || w.Event == trust.EventFailed) && t.state.open():
		return r.failed(t), NoEvidence
	}
	return t.state, t.evidence
}

// failed returns what becomes of a device whose attempt came to nothing.
func (r *row) failed(t *touched) DeviceState {
	if t.attempts < r.spec.attempts() {
		return Retrying
	}
	return Failed
}

// onTheWay never leads back: reports may come late.
func (t *touched) onTheWay(to DeviceState) (DeviceState, Evidence) {
	order := map[DeviceState]int{Offered: 1, Downloading: 2, Installed: 3, Trial: 4}
	if t.state.open() && order[to] > order[t.state] {
		return to, NoEvidence
	}
	return t.state, t.evidence
}

func evidenceOf(d *fleet.Device, w fleet.Testimony) Evidence {
	switch {
	case d.Level == fleet.TokenOnly:
		return ByTokenWord
	case w.Event == 0:
		return ByCheck
	}
	return ByReport
}

// stronger returns the better evidence of two.
func stronger(a, b Evidence) Evidence {
	if a == ByReport {
		return a
	}
	return b
}

// reasonOf puts a failure into words.
func reasonOf(w fleet.Testimony) string {
	text := ""
	if w.Reason != 0 {
		text = w.Reason.Error()
	}
	if w.Detail != "" && text != "" {
		text += ": "
	}
	text += w.Detail
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "")
}
