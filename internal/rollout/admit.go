package rollout

import (
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/store"
)

// Admit implements fleet.Rollouts. What memory said is asked again of the
// rows, which no other transaction changes meanwhile: two servers keep to one
// budget, one pace and one state.
func (e *Engine) Admit(tx *store.Tx, d *fleet.Device, c fleet.Choice) (settle func(), err error) {
	if c.Rollout == "" {
		return nil, admitFreely(tx, d.DeviceType)
	}
	revision, err := touch(tx)
	if err != nil {
		return nil, err
	}
	r, err := loadRow(tx, c.Rollout)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", fleet.ErrNotAdmitted, err)
	}
	if err != nil {
		return nil, err
	}
	t, err := loadTouched(tx, r.id, d.Ref)
	if err != nil {
		return nil, err
	}
	if r.facts.Back != nil && c.Manifest == r.facts.Back.Hash {
		return nil, e.admitBack(r, t, d)
	}
	if err := e.admits(r, t, d, tx); err != nil {
		return nil, fmt.Errorf("%w: %w", fleet.ErrNotAdmitted, err)
	}
	if t.state.open() {
		return nil, nil
	}
	others, err := e.takeOver(tx, r, d, revision)
	if err != nil {
		return nil, err
	}
	l := &ledger{tx: tx, row: r, revision: revision}
	if t.state != Retrying {
		t.attempts = 0 // what it did before it proved itself, or was told to try again
	}
	t.attempts++
	t.offeredAt, t.reason = tx.Now(), ""
	if err := l.move(t, Offered, NoEvidence); err != nil {
		return nil, err
	}
	if r.spec.Pace > 0 {
		r.paceUS = max(r.paceUS, tx.Now().UnixMicro()) + r.step()
	}
	if err := l.close(); err != nil {
		return nil, err
	}
	return e.settled(rowsOf(append(others, l))), nil
}

// admitFreely admits a device to an offer in no rollout's name, unless its type
// waits for rollouts by what is committed: memory here may be a refresh behind
// the server on which an administrator said so.
func admitFreely(tx *store.Tx, deviceType string) error {
	settings, err := loadType(tx, deviceType)
	if err == nil && settings.Offer == Rollouts {
		err = fmt.Errorf("%w: %w", fleet.ErrNotAdmitted, errNoRollout)
	}
	return err
}

// step is how many microseconds there are from one offer to the next.
func (r *row) step() int64 { return int64(60_000_000 / r.spec.Pace) }

// admits says why a device is not admitted, by the rows.
func (e *Engine) admits(r *row, t *touched, d *fleet.Device, tx *store.Tx) error {
	a, err := newActive(r, nil)
	if err != nil {
		return err
	}
	who := applicantOf(d, t.state, t.excused)
	who.inStage = e.inStage(a, position(r.id, d.Ref), d)
	return r.refuses(&r.counters, who, tx.Now())
}

// admitBack admits a device that took the release of a halted rollout to the
// way back. Whoever has the release from elsewhere stays.
func (e *Engine) admitBack(r *row, t *touched, d *fleet.Device) error {
	if r.state != Halted {
		return fmt.Errorf("%w: its rollout is %s", fleet.ErrNotAdmitted, r.state)
	}
	if t.state != "" {
		return nil
	}
	if a, ok := e.memory.Load().byID[r.id]; ok {
		a.gauge.estrange(position(r.id, d.Ref))
	}
	return fmt.Errorf("%w: it did not get its release from the halted rollout", fleet.ErrNotAdmitted)
}

// takeOver ends what other rollouts wait for of a device: it is here, and gets
// another release.
func (e *Engine) takeOver(tx *store.Tx, r *row, d *fleet.Device, revision int64) (ledgers []*ledger, err error) {
	list, err := readTouched(tx, `WHERE device_type = $1 AND device = $2 AND rollout <> $3`, d.DeviceType, d.ID, r.id)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if !t.state.open() && t.state != Retrying {
			continue
		}
		other, err := loadRow(tx, t.rollout)
		if err != nil {
			return nil, err
		}
		l := &ledger{tx: tx, row: other, revision: revision}
		if err := l.move(t, Left, NoEvidence); err != nil {
			return nil, err
		}
		if err := l.close(); err != nil {
			return nil, err
		}
		ledgers = append(ledgers, l)
	}
	return ledgers, nil
}

// rowsOf returns what a transaction has changed, for memory.
func rowsOf(ledgers []*ledger) (rows []*row, devices []*touched) {
	for _, l := range ledgers {
		rows = append(rows, l.row)
		devices = append(devices, l.devices...)
	}
	return rows, devices
}
