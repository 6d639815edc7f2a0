package rollout

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
)

// topic is what every change of a rollout, of a touched device and of a type's
// settings touches. Whoever touches it first in a transaction also takes turns
// with all others who do.
const topic = "rollouts"

// A row is a rollout as it is committed.
type row struct {
	id         string
	spec       Spec
	facts      facts
	state      State
	stage      int // the open one, from 1; 0: none yet
	startOrder int64

	createdAt  time.Time
	createdBy  string
	approvedAt time.Time
	approvedBy string
	startedAt  time.Time
	startedBy  string
	changedAt  time.Time
	changedBy  string
	why        string

	budget int
	counters
	revision int64

	stages []openedStage // those that were opened
}

// counters are what changes with every offer and every report.
type counters struct {
	touched   int
	confirmed int
	unproven  int   // not excused
	ended     int   // not excused
	paceUS    int64 // when the next offer is due, if offers came evenly
}

// facts are what a check has to know of the releases.
type facts struct {
	Release release  `json:"release"`
	Back    *release `json:"send_back"` // null: none
}

type release struct {
	fleet.Running                 // of whoever has it
	Hash          manifest.Digest `json:"manifest_hash"`
	Version       string          `json:"version"`
	Hardware      []string        `json:"hardware_revisions"` // empty: all
}

// An openedStage is what is fixed when a stage opens.
type openedStage struct {
	cut      uint64 // the last position within it
	openedAt time.Time
}

// touch takes the turn of a transaction that changes rollouts, and returns the
// revision of what it writes.
func touch(tx *store.Tx) (int64, error) {
	if err := tx.Touch(topic); err != nil {
		return 0, err
	}
	return tx.Revision(topic)
}

const rowColumns = `id, name, device_type, release, send_back, spec, facts, state, stage, start_order, created_ms, created_by, approved_ms, approved_by,
	started_ms, started_by, changed_ms, changed_by, why, budget, touched, confirmed, unproven, ended, pace_us, revision`

func (r *row) insert(tx *store.Tx) error {
	spec, err := json.Marshal(r.spec, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode rollout: %w", err)
	}
	facts, err := json.Marshal(r.facts)
	if err != nil {
		return fmt.Errorf("encode rollout: %w", err)
	}
	var sendBack any
	if !r.spec.SendBack.IsZero() {
		sendBack = r.spec.SendBack[:]
	}
	rows, err := tx.Exec(`INSERT INTO rollouts (`+rowColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)
		ON CONFLICT (name) DO NOTHING`,
		r.id, r.spec.Name, r.spec.DeviceType, r.spec.Release[:], sendBack, spec, facts, string(r.state), int64(r.stage), r.startOrder,
		millis(r.createdAt), r.createdBy, millis(r.approvedAt), r.approvedBy, millis(r.startedAt), r.startedBy,
		millis(r.changedAt), r.changedBy, r.why, int64(r.budget), int64(r.touched), int64(r.confirmed), int64(r.unproven), int64(r.ended), r.paceUS, r.revision)
	if err == nil && rows == 0 {
		return ErrExists
	}
	return err
}

// update writes what changes in the life of a rollout.
func (r *row) update(tx *store.Tx) error {
	_, err := tx.Exec(`UPDATE rollouts SET state = $1, stage = $2, start_order = $3, approved_ms = $4, approved_by = $5, started_ms = $6,
		started_by = $7, changed_ms = $8, changed_by = $9, why = $10, budget = $11, touched = $12, confirmed = $13, unproven = $14, ended = $15,
		pace_us = $16, revision = $17 WHERE id = $18`,
		string(r.state), int64(r.stage), r.startOrder, millis(r.approvedAt), r.approvedBy, millis(r.startedAt),
		r.startedBy, millis(r.changedAt), r.changedBy, r.why, int64(r.budget), int64(r.touched), int64(r.confirmed), int64(r.unproven), int64(r.ended), r.paceUS,
		r.revision, r.id)
	return err
}

// findRow reads a rollout by its name, or returns ErrNotFound.
func findRow(tx *store.Tx, name string) (*row, error) {
	return oneRow(tx, `WHERE name = $1`, name)
}

// loadRow reads a rollout by its id, or returns ErrNotFound.
func loadRow(tx *store.Tx, id string) (*row, error) { return oneRow(tx, `WHERE id = $1`, id) }

func oneRow(tx *store.Tx, where string, arg any) (*row, error) {
	list, err := readRows(tx, where, arg)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func readRows(tx *store.Tx, where string, args ...any) ([]*row, error) {
	var list []*row
	err := tx.Each(`SELECT `+rowColumns+` FROM rollouts `+where, args, func(scan func(...any) error) error {
		r, err := scanRow(scan)
		list = append(list, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if err := r.readStages(tx); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func scanRow(scan func(...any) error) (*row, error) {
	r := &row{}
	var name, deviceType, state string
	var release, sendBack, spec, facts []byte
	var stage, created, approved, started, changed, budget, touched, confirmed, unproven, ended int64
	err := scan(&r.id, &name, &deviceType, &release, &sendBack, &spec, &facts, &state, &stage, &r.startOrder, &created, &r.createdBy, &approved, &r.approvedBy,
		&started, &r.startedBy, &changed, &r.changedBy, &r.why, &budget, &touched, &confirmed, &unproven, &ended, &r.paceUS, &r.revision)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(spec, &r.spec); err != nil {
		return nil, fmt.Errorf("rollout %s: %w", name, err)
	}
	if err := json.Unmarshal(facts, &r.facts); err != nil {
		return nil, fmt.Errorf("rollout %s: %w", name, err)
	}
	r.spec.Release = manifest.Digest(release)
	r.state, r.stage = State(state), int(stage)
	r.createdAt, r.approvedAt, r.startedAt, r.changedAt = timeOf(created), timeOf(approved), timeOf(started), timeOf(changed)
	r.budget, r.touched, r.confirmed, r.unproven, r.ended = int(budget), int(touched), int(confirmed), int(unproven), int(ended)
	return r, nil
}

func (r *row) readStages(tx *store.Tx) error {
	return tx.Each(`SELECT cut, opened_ms FROM rollout_stages WHERE rollout = $1 ORDER BY stage`, []any{r.id}, func(scan func(...any) error) error {
		var cut, opened int64
		err := scan(&cut, &opened)
		r.stages = append(r.stages, openedStage{uint64(cut), timeOf(opened)})
		return err
	})
}

// erase removes a draft, which nothing refers to.
func (r *row) erase(tx *store.Tx) error {
	_, err := tx.Exec(`DELETE FROM rollouts WHERE id = $1`, r.id)
	return err
}

// millis stores the zero time as 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
