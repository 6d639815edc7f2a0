package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/store"
)

// touched is a device that a rollout has offered its release, as it is
// committed.
type touched struct {
	rollout   string
	ref       fleet.Ref
	stage     int
	state     DeviceState
	evidence  Evidence
	attempts  int
	excused   bool
	sentBack  bool
	offeredAt time.Time
	changedAt time.Time
	reason    string
	revision  int64
}

const touchedColumns = `rollout, device_type, device, stage, state, evidence, attempts, excused, sent_back, offered_ms, changed_ms, reason, revision`

func (t *touched) save(tx *store.Tx) error {
	_, err := tx.Exec(`INSERT INTO rollout_devices (`+touchedColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (rollout, device) DO UPDATE SET state = excluded.state, evidence = excluded.evidence, attempts = excluded.attempts,
			excused = excluded.excused, sent_back = excluded.sent_back, offered_ms = excluded.offered_ms, changed_ms = excluded.changed_ms,
			reason = excluded.reason, revision = excluded.revision`,
		t.rollout, t.ref.DeviceType, t.ref.ID, int64(t.stage), string(t.state), string(t.evidence), int64(t.attempts),
		flag(t.excused), flag(t.sentBack), millis(t.offeredAt), millis(t.changedAt), t.reason, t.revision)
	return err
}

// loadTouched reads a device of a rollout; of one that it never touched, what
// is to become of it.
func loadTouched(tx *store.Tx, rollout string, ref fleet.Ref) (*touched, error) {
	t, err := scanTouched(func(dest ...any) error {
		return tx.Get(`SELECT `+touchedColumns+` FROM rollout_devices WHERE rollout = $1 AND device = $2`, []any{rollout, ref.ID}, dest...)
	})
	if errors.Is(err, store.ErrNotFound) {
		return &touched{rollout: rollout, ref: ref}, nil
	}
	return t, err
}

func readTouched(tx *store.Tx, where string, args ...any) (list []*touched, err error) {
	err = tx.Each(`SELECT `+touchedColumns+` FROM rollout_devices `+where, args, func(scan func(...any) error) error {
		t, err := scanTouched(scan)
		list = append(list, t)
		return err
	})
	return list, err
}

func scanTouched(scan func(...any) error) (*touched, error) {
	t := &touched{}
	var state, evidence string
	var stage, attempts, excused, sentBack, offered, changed int64
	err := scan(&t.rollout, &t.ref.DeviceType, &t.ref.ID, &stage, &state, &evidence, &attempts, &excused, &sentBack, &offered, &changed, &t.reason, &t.revision)
	t.stage, t.state, t.evidence, t.attempts = int(stage), DeviceState(state), Evidence(evidence), int(attempts)
	t.excused, t.sentBack, t.offeredAt, t.changedAt = excused != 0, sentBack != 0, timeOf(offered), timeOf(changed)
	return t, err
}

// A DeviceQuery bounds a list of a rollout's devices.
type DeviceQuery struct {
	State DeviceState // empty: all
	After string      // id of the last one of the page before; empty: from the first
	Limit int
}

// Devices returns devices that a rollout has touched, in the order of their
// ids.
func (e *Engine) Devices(ctx context.Context, name string, q DeviceQuery) ([]Device, error) {
	list := []Device{}
	err := e.db.View(ctx, func(tx *store.Tx) error {
		r, err := findRow(tx, name)
		if err != nil {
			return err
		}
		rows, err := readTouched(tx, `WHERE rollout = $1 AND device > $2 AND ($3 = '' OR state = $3) ORDER BY device LIMIT $4`,
			r.id, q.After, string(q.State), int64(q.Limit))
		for _, t := range rows {
			list = append(list, t.view())
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("devices of rollout %q: %w", name, err)
	}
	return list, nil
}

func (t *touched) view() Device {
	return Device{
		ID: t.ref.ID, Stage: t.stage, State: t.state, Evidence: t.evidence, Attempts: t.attempts, Excused: t.excused,
		SentBack: t.sentBack, OfferedAt: t.offeredAt, ChangedAt: t.changedAt, Reason: t.reason,
	}
}
