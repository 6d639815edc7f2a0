package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// matches is what AuditRecords says in SQL.
func matches(f audit.Filter, r audit.Record) bool {
	action := f.Action == "" || f.Action == r.Action || strings.HasSuffix(f.Action, ".") && strings.HasPrefix(r.Action, f.Action)
	return action && (f.Actor == "" || f.Actor == r.Actor) && (f.Object == "" || f.Object == r.Object) &&
		(f.Since.IsZero() || !r.Time.Before(f.Since)) && (f.Until.IsZero() || r.Time.Before(f.Until)) &&
		(f.After == 0 || r.Seq > f.After) && (f.Before == 0 || r.Seq < f.Before)
}

func TestFiltersSelectWhatTheySay(t *testing.T) { onEach(t, checkFiltersSelectWhatTheySay) }

func checkFiltersSelectWhatTheySay(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	var clock time.Time
	db.Now = func() time.Time { return clock }
	const n = 120
	actions := []string{"release.publish", "release.withdraw", "releases.x", "release", "device.add"}
	err := db.ChangeUnaudited(t.Context(), func(tx *Tx) error {
		for i := range n {
			clock = time.UnixMilli(int64(i/2) * 1000)
			e := audit.Entry{Actor: fmt.Sprint("user:", i%3), Action: actions[i%5], Object: fmt.Sprint("thing:", i%7)}
			if err := tx.Record(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []audit.Record
	for r, err := range db.AllAuditRecords(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	rapid.Check(t, func(t *rapid.T) {
		at := func(name string) time.Time {
			if s := rapid.IntRange(0, 70).Draw(t, name); s > 0 {
				return time.UnixMilli(int64(s) * 1000)
			}
			return time.Time{}
		}
		f := audit.Filter{
			Actor:  rapid.SampledFrom([]string{"", "", "user:1", "user:9"}).Draw(t, "actor"),
			Action: rapid.SampledFrom([]string{"", "", "release.", "release", "release.publish", "."}).Draw(t, "action"),
			Object: rapid.SampledFrom([]string{"", "", "", "thing:3"}).Draw(t, "object"),
			Since:  at("since"), Until: at("until"),
			After:  rapid.Int64Range(0, n+1).Draw(t, "after"),
			Before: rapid.Int64Range(0, n+2).Draw(t, "before"),
			Oldest: rapid.Bool().Draw(t, "oldest"),
			Limit:  rapid.IntRange(0, 20).Draw(t, "limit"),
		}
		var want []int64
		for _, r := range all {
			if matches(f, r) {
				want = append(want, r.Seq)
			}
		}
		if !f.Oldest && f.After == 0 {
			slices.Reverse(want)
		}
		if f.Limit > 0 {
			want = want[:min(f.Limit, len(want))]
		}
		page, err := db.AuditRecords(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, r := range page {
			got = append(got, r.Seq)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: got %v, want %v", f, got, want)
		}
	})
}

func TestALogOfManyPagesVerifies(t *testing.T) { onEach(t, checkALogOfManyPagesVerifies) }

func checkALogOfManyPagesVerifies(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	const n = 2*auditChunk + 1
	err := db.ChangeUnaudited(t.Context(), func(tx *Tx) error {
		for range n {
			if err := tx.Record(entry); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantLog(t, db, n)
	if page, err := db.AuditRecords(t.Context(), audit.Filter{}); err != nil || len(page) != audit.MaxPage || page[0].Seq != n {
		t.Errorf("a page of %d records, %v", len(page), err)
	}
}

func auditKey(t *testing.T) *signing.Key {
	t.Helper()
	key, err := signing.Generate(trust.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCheckpointsAreMadeWhenDue(t *testing.T) { onEach(t, checkCheckpointsAreMadeWhenDue) }

func checkCheckpointsAreMadeWhenDue(t *testing.T, fresh kind) {
	db, key := openAt(t, fresh(t)), auditKey(t)
	clock := time.UnixMilli(1_000_000)
	db.Now = func() time.Time { return clock }
	due := func(want bool, when string) {
		t.Helper()
		raw, err := db.Checkpoint(t.Context(), key, 10, time.Minute)
		if err != nil || (raw != nil) != want {
			t.Errorf("%s: %x, %v", when, raw, err)
		}
	}
	add := func(n int) {
		t.Helper()
		for range n {
			if err := db.Change(t.Context(), entry, touch("a")); err != nil {
				t.Fatal(err)
			}
		}
	}
	due(false, "an empty log")
	add(1)
	due(true, "the first record")
	add(9)
	due(false, "nine records later")
	add(1)
	due(true, "ten records later")
	clock = clock.Add(time.Hour)
	due(false, "an hour without a record")
	add(1)
	due(true, "a record after an hour")
	signed, err := db.Checkpoints(t.Context(), 0)
	if err != nil || len(signed) != 3 {
		t.Fatalf("%d checkpoints, %v", len(signed), err)
	}
	if later, err := db.Checkpoints(t.Context(), 1); err != nil || len(later) != 2 {
		t.Errorf("%d checkpoints after the first, %v", len(later), err)
	}
	s, err := audit.Verify(db.AllAuditRecords(t.Context()), signed, key.Public())
	if err != nil || s.Checkpoints != 3 || s.Confirmed != 12 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Whoever cuts the log, or plants a checkpoint far ahead, must not silence the
// checkpoints to come.
func TestACheckpointAheadOfTheLogIsAnError(t *testing.T) {
	onEach(t, checkACheckpointAheadOfTheLogIsAnError)
}

func checkACheckpointAheadOfTheLogIsAnError(t *testing.T, fresh kind) {
	for _, statement := range []string{`DELETE FROM audit_records WHERE seq > 1`, `UPDATE audit_checkpoints SET seq = 1000000`} {
		db, key := openAt(t, fresh(t)), auditKey(t)
		for range 3 {
			if err := db.Change(t.Context(), entry, touch("a")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.Checkpoint(t.Context(), key, 1, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := db.writer.session.conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		if raw, err := db.Checkpoint(t.Context(), key, 1, 0); raw != nil || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %x, %v", statement, raw, err)
		}
	}
}

// What an intruder does who can write to the database file.
func TestTamperingWithTheTableIsFound(t *testing.T) { onEach(t, checkTamperingWithTheTableIsFound) }

func checkTamperingWithTheTableIsFound(t *testing.T, fresh kind) {
	tamperings := map[string]int64{
		`UPDATE audit_records SET actor = 'user:mallory' WHERE seq = 4`: 4,
		`UPDATE audit_records SET time_ms = time_ms + 1 WHERE seq = 4`:  4,
		`UPDATE audit_records SET before_json = hash WHERE seq = 4`:     4,
		`DELETE FROM audit_records WHERE seq = 4`:                       4,
		`DELETE FROM audit_records WHERE seq >= 4`:                      4,
		`DELETE FROM audit_records`:                                     1,
		`UPDATE audit_records SET seq = seq + 1000 WHERE seq > 4`:       5,
		`UPDATE audit_records SET hash = prev_hash WHERE seq = 4`:       4,
	}
	if IsPostgres(fresh(t)) {
		tamperings[`ALTER TABLE audit_records DROP CONSTRAINT audit_records_seq_check; UPDATE audit_records SET seq = -1 WHERE seq = 8`] = 1
	} else {
		tamperings[`PRAGMA ignore_check_constraints = 1; UPDATE audit_records SET seq = -1 WHERE seq = 8`] = 1
	}
	for statement, bad := range tamperings {
		db, key := openAt(t, fresh(t)), auditKey(t)
		for range 8 {
			if err := db.Change(t.Context(), entry, touch("a")); err != nil {
				t.Fatal(err)
			}
		}
		exported, err := db.Checkpoint(t.Context(), key, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.writer.session.conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(statement, err)
		}
		var named *audit.BadRecordError
		_, err = audit.Verify(db.AllAuditRecords(t.Context()), [][]byte{exported}, key.Public())
		if !errors.As(err, &named) || named.Seq != bad {
			t.Errorf("%s: %v, want record %d", statement, err, bad)
		}
	}
}

// Whoever can write the database and has no key must not have the server sign
// what he wrote.
func TestARewrittenLogIsNotSigned(t *testing.T) { onEach(t, checkARewrittenLogIsNotSigned) }

func checkARewrittenLogIsNotSigned(t *testing.T, newDatabase kind) {
	db, key := openAt(t, newDatabase(t)), auditKey(t)
	change := func() {
		t.Helper()
		if err := db.Change(t.Context(), entry, touch("a")); err != nil {
			t.Fatal(err)
		}
	}
	change()
	if raw, err := db.Checkpoint(t.Context(), key, 1, 0); raw == nil || err != nil {
		t.Fatal(err)
	}
	forged, err := audit.Follow(audit.Record{}, time.Now(), audit.Entry{Actor: "mallory", Action: "forged.one"})
	if err != nil {
		t.Fatal(err)
	}
	err = db.ChangeUnaudited(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec(`UPDATE audit_records SET time_ms = $1, actor = $2, action = $3, hash = $4 WHERE seq = 1`,
			forged.Time.UnixMilli(), forged.Actor, forged.Action, forged.Hash[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	change() // on top of the forged one: a chain without a break
	if raw, err := db.Checkpoint(t.Context(), key, 1, 0); raw != nil || !errors.Is(err, ErrDamaged) {
		t.Errorf("%d bytes signed, %v", len(raw), err)
	}
}

func TestAClockThatWasSetBackStopsNoCheckpoints(t *testing.T) {
	db, key := openAt(t, newPath(t)), auditKey(t)
	now := time.Now()
	at := func(when time.Time) []byte {
		t.Helper()
		db.Now = func() time.Time { return when }
		err := db.Change(t.Context(), entry, touch("a"))
		raw, err2 := db.Checkpoint(t.Context(), key, 1000, time.Minute)
		if err = errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if at(now.Add(10*365*24*time.Hour)) == nil || at(now) == nil {
		t.Error("nothing is signed until the clock is where it was")
	}
}
