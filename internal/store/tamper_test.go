package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// A besieged log is one that an intruder changes who can write to the database
// as he likes, and has no audit key. What he does is held against a checkpoint
// that was exported before.
type besieged struct {
	*testing.T
	*rand.Rand
	db       *DB
	exported []byte // of record covered
	covered  int
	records  int
}

// A siege is what he does once. It returns the record that is bad first; exact:
// this very one is to be named, otherwise one between the last that a
// checkpoint confirms and the next that one is of.
type siege struct {
	name   string
	do     func(b *besieged) (bad int, exact bool)
	forges bool // he puts a checkpoint of his own beside the log
}

// pick returns one of the records that the checkpoint covers.
func (b *besieged) pick() int { return 1 + b.IntN(b.covered) }

var sieges = []siege{
	{"change a column", func(b *besieged) (int, bool) {
		i := b.pick()
		changes := []string{
			`time_ms = time_ms + 1`, `actor = 'user:mallory'`, `action = action || 'x'`, `object = object || 'x'`, `address = '192.0.2.99'`,
			`before_json = hash`, `after_json = hash`, `prev_hash = hash`, `hash = prev_hash`,
		}
		b.sql(`UPDATE audit_records SET %s WHERE seq = %d`, changes[b.IntN(len(changes))], i)
		return i, true
	}, false},
	{"delete one", func(b *besieged) (int, bool) {
		i := b.pick()
		b.sql(`DELETE FROM audit_records WHERE seq = %d`, i)
		return i, true
	}, false},
	{"delete one and close the gap", func(b *besieged) (int, bool) {
		i := b.pick()
		b.sql(`DELETE FROM audit_records WHERE seq = %d`, i)
		b.move(i+1, -1)
		return i, true
	}, false},
	{"truncate", func(b *besieged) (int, bool) {
		i := b.pick()
		b.sql(`DELETE FROM audit_records WHERE seq >= %d`, i)
		return i, true
	}, false},
	{"renumber", func(b *besieged) (int, bool) {
		i := b.pick()
		b.sql(`UPDATE audit_records SET seq = seq + 1000 WHERE seq >= %d`, i)
		return i, true
	}, false},
	{"swap two", func(b *besieged) (int, bool) {
		i := b.pick()
		j := 1 + (i+b.IntN(b.records-1))%b.records
		b.swap(i, j)
		return min(i, j), true
	}, false},
	{"insert a copy", func(b *besieged) (int, bool) {
		i := b.pick()
		b.move(i, 1)
		b.sql(`INSERT INTO audit_records (seq, time_ms, actor, action, object, address, before_json, after_json, prev_hash, hash)
			SELECT %d, time_ms, actor, action, object, address, before_json, after_json, prev_hash, hash FROM audit_records WHERE seq = %d`, i, b.records+1)
		return i, true
	}, false},
	{"change one and rewrite the rest", func(b *besieged) (int, bool) {
		i := b.pick()
		b.sql(`UPDATE audit_records SET actor = 'user:mallory' WHERE seq = %d`, i)
		b.rewrite(i)
		return i, false
	}, false},
	{"delete one and rewrite the rest", func(b *besieged) (int, bool) {
		i := b.pick()
		b.sql(`DELETE FROM audit_records WHERE seq = %d`, i)
		b.move(i+1, -1)
		b.rewrite(i)
		return i, false
	}, false},
	{"change one, rewrite the rest, and sign it with another key", func(b *besieged) (int, bool) {
		i := b.pick()
		b.sql(`UPDATE audit_records SET after_json = before_json, object = 'thing:7' WHERE seq = %d`, i)
		b.rewrite(i)
		b.sql(`DELETE FROM audit_checkpoints`)
		b.resign()
		return i, false
	}, true},
	{"roll back, and let the server go on", func(b *besieged) (int, bool) {
		i := b.pick()
		b.sql(`DELETE FROM audit_records WHERE seq >= %d`, i)
		b.sql(`DELETE FROM audit_checkpoints WHERE seq >= %d`, i)
		for range b.IntN(b.records) {
			if err := b.db.Change(b.Context(), audit.Entry{Actor: "user:mallory", Action: "test.fork"}, touch("b")); err != nil {
				b.Fatal(err)
			}
		}
		return i, false
	}, false},
}

func (b *besieged) sql(format string, args ...any) {
	b.Helper()
	if _, err := b.db.writer.session.conn.ExecContext(b.Context(), fmt.Sprintf(format, args...)); err != nil {
		b.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

// move changes the numbers of the records from seq on, out of each other's way.
func (b *besieged) move(seq, by int) {
	b.sql(`UPDATE audit_records SET seq = seq + 100000 WHERE seq >= %d`, seq)
	b.sql(`UPDATE audit_records SET seq = seq - %d WHERE seq >= 100000`, 100000-by)
}

func (b *besieged) swap(i, j int) {
	b.sql(`UPDATE audit_records SET seq = 100000 WHERE seq = %d`, i)
	b.sql(`UPDATE audit_records SET seq = %d WHERE seq = %d`, i, j)
	b.sql(`UPDATE audit_records SET seq = %d WHERE seq = 100000`, j)
}

// rewrite gives the records from seq on hashes that fit.
func (b *besieged) rewrite(seq int) {
	var prev audit.Record
	for r, err := range b.db.AllAuditRecords(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		if r.Seq >= int64(seq) {
			r.PrevHash = prev.Hash
			r.Hash = r.ComputeHash()
			b.sql(`UPDATE audit_records SET prev_hash = %s, hash = %s WHERE seq = %d`, b.blob(r.PrevHash), b.blob(r.Hash), r.Seq)
		}
		prev = r
	}
}

// blob spells bytes in SQL.
func (b *besieged) blob(h audit.Hash) string {
	if b.db.Shared() {
		return `'\x` + h.String() + `'`
	}
	return `x'` + h.String() + `'`
}

// resign puts a checkpoint of the head beside the log, signed by somebody.
func (b *besieged) resign() {
	if _, err := b.db.Checkpoint(b.Context(), auditKey(b.T), 1, 0); err != nil {
		b.Fatal(err)
	}
}

// checkSieges tries so many of them, and wants each found and the first bad
// record named.
func checkSieges(t *testing.T, location string, rounds int) {
	db, key := openAt(t, location), auditKey(t)
	b := &besieged{T: t, db: db, records: 24, covered: 17}
	for i := range b.records {
		e := audit.Entry{Actor: "user:alice", Action: "thing.change", Object: fmt.Sprintf("thing:%d", i), Address: "192.0.2.1", Before: audit.JSON(i), After: audit.JSON(i + 1)}
		if err := db.Change(t.Context(), e, touch("a")); err != nil {
			t.Fatal(err)
		}
		if i == 4 || i+1 == b.covered {
			var err error
			if b.exported, err = db.Checkpoint(t.Context(), key, 1, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !db.Shared() {
		b.sql(`PRAGMA synchronous = OFF`) // nobody pulls the plug here
	}
	b.sql(`CREATE TABLE kept_records AS SELECT * FROM audit_records`)
	b.sql(`CREATE TABLE kept_checkpoints AS SELECT * FROM audit_checkpoints`)
	seed, found := rand.Uint64(), map[string]int{}
	for round := range uint64(rounds) {
		b.Rand = rand.New(rand.NewPCG(seed, round))
		how := sieges[b.IntN(len(sieges))]
		bad, exact := how.do(b)
		_, err := audit.Verify(db.AllAuditRecords(t.Context()), [][]byte{b.exported}, key.Public())
		var named *audit.BadRecordError
		if !errors.As(err, &named) {
			t.Fatalf("seed %d, round %d: %s at record %d was not found: %v", seed, round, how.name, bad, err)
		}
		if int64(bad) <= named.Confirmed || int64(bad) > named.Seq || exact && int64(bad) != named.Seq {
			t.Fatalf("seed %d, round %d: %s at record %d was taken for: %v", seed, round, how.name, bad, err)
		}
		if how.forges {
			stored, err := db.Checkpoints(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := audit.Verify(db.AllAuditRecords(t.Context()), stored, key.Public()); err == nil {
				t.Fatalf("seed %d, round %d: a checkpoint of another key counts", seed, round)
			}
		}
		found[how.name]++
		b.sql(`DELETE FROM audit_records; INSERT INTO audit_records SELECT * FROM kept_records;
			DELETE FROM audit_checkpoints; INSERT INTO audit_checkpoints SELECT * FROM kept_checkpoints`)
	}
	if s, err := audit.Verify(db.AllAuditRecords(t.Context()), [][]byte{b.exported}, key.Public()); err != nil || s.Records != int64(b.records) {
		t.Errorf("untouched again: %+v, %v", s, err)
	}
	t.Logf("%d tamperings, all found: seed %d, %v", rounds, seed, found)
}

// Ten thousand of them in the long form.
func TestEveryTamperingWithTheTableIsFound(t *testing.T) {
	rounds := 150
	if os.Getenv("OTA_LONG") != "" {
		rounds = 10_000
	}
	onEach(t, func(t *testing.T, fresh kind) { checkSieges(t, fresh(t), rounds) })
}
