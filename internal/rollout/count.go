package rollout

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
)

// system is who acts when a rule does.
const system = "system"

// A ledger is what a transaction changes of one rollout: the row, and the
// devices. It is written with close.
type ledger struct {
	tx       *store.Tx
	row      *row
	revision int64
	devices  []*touched
}

// move takes a device to another state, with its counters.
func (l *ledger) move(t *touched, to DeviceState, evidence Evidence) error {
	r := l.row
	if t.state == "" {
		r.touched++
		t.stage = max(r.stage, 1)
	} else {
		r.add(t, -1)
		if err := l.tally(t, -1); err != nil {
			return err
		}
	}
	if to != t.state {
		t.excused = false
	}
	t.state, t.evidence, t.changedAt = to, evidence, l.tx.Now()
	r.add(t, +1)
	if err := l.tally(t, +1); err != nil {
		return err
	}
	t.revision = l.revision
	l.devices = append(l.devices, t)
	return t.save(l.tx)
}

func (c *counters) add(t *touched, n int) {
	switch {
	case t.state == Confirmed:
		c.confirmed += n
	case t.excused:
	case t.state.ended():
		c.unproven += n
		c.ended += n
	case t.state.unproven():
		c.unproven += n
	}
}

func (l *ledger) tally(t *touched, n int) error {
	return l.tallyAs(t.stage, string(t.state), t.evidence, n)
}

func (l *ledger) tallyAs(stage int, state string, evidence Evidence, n int) error {
	_, err := l.tx.Exec(`INSERT INTO rollout_counts (rollout, stage, state, evidence, devices) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (rollout, stage, state, evidence) DO UPDATE SET devices = rollout_counts.devices + excluded.devices`,
		l.row.id, int64(stage), state, string(evidence), int64(n))
	return err
}

// sentBack is what stands in place of a state in the counts of devices that
// run the approved downgrade.
const sentBack = "sent back"

// close judges the rollout by its counters and writes it.
func (l *ledger) close() error {
	r := l.row
	r.revision = l.revision
	if why := r.failing(); why != "" {
		before := r.lifecycle()
		r.state, r.changedAt, r.changedBy, r.why = Halted, l.tx.Now(), system, why
		err := l.tx.Record(audit.Entry{
			Actor: system, Action: "rollout.halt", Object: object(r.spec.Name), Before: audit.JSON(before), After: audit.JSON(r.lifecycle()),
		})
		if err != nil {
			return err
		}
	}
	return r.update(l.tx)
}

// failing says why a rollout has to halt; empty: it has not.
func (r *row) failing() string {
	if !r.state.offers() {
		return ""
	}
	percent := r.spec.Stages[r.stage-1].FailurePercent
	switch {
	case r.ended >= r.budget:
		return fmt.Sprintf("%d devices failed: as many as may be without evidence of success", r.ended)
	case float64(r.ended) > percent/100*float64(max(r.touched, FailureBase)):
		return fmt.Sprintf("%d of %d devices failed, more than %g %%", r.ended, r.touched, percent)
	}
	return ""
}
