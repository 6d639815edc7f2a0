package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
)

// childEnv makes the test binary write to the database it names and end.
const childEnv = "STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := childWrites(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if path := os.Getenv(lockEnv); path != "" {
		if err := childLocks(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func openAt(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newPath(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a b?#%")
	if runtime.GOOS == "windows" {
		dir = filepath.Join(t.TempDir(), "a b#%")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "ota.db")
}

// A kind makes a new, empty database of one kind and returns its location.
type kind func(testing.TB) string

// onEach runs a test on each kind of database.
func onEach(t *testing.T, test func(*testing.T, kind)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newPath) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, postgres.Database) })
}

var entry = audit.Entry{Actor: "test", Action: "test.touch"}

// touch is the smallest change.
func touch(topic string) func(*Tx) error {
	return func(tx *Tx) error { return tx.Touch(topic) }
}

func revision(t testing.TB, db *DB, topic string) int64 {
	t.Helper()
	n, err := db.Revision(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantLog fails unless the audit log has n records and verifies.
func wantLog(t testing.TB, db *DB, n int64) {
	t.Helper()
	s, err := audit.VerifyChain(db.AllAuditRecords(t.Context()), nil)
	if err != nil || s.Records != n {
		t.Errorf("the audit log has %d records, %v; want %d", s.Records, err, n)
	}
}

func TestAChangeAndItsRecordCommitTogether(t *testing.T) {
	onEach(t, checkAChangeAndItsRecordCommitTogether)
}

func checkAChangeAndItsRecordCommitTogether(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	db.Now = func() time.Time { return time.UnixMilli(1234567) }
	err := db.Change(t.Context(), audit.Entry{Actor: "user:alice", Address: "::1", Action: "thing.add"}, func(tx *Tx) error {
		tx.Audit().Object = "thing:1"
		tx.Audit().After = audit.JSON(map[string]int{"n": 1})
		return tx.Touch("thing")
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := db.AuditRecords(t.Context(), audit.Filter{})
	if err != nil || len(page) != 1 {
		t.Fatal(page, err)
	}
	const want = `1 1970-01-01T00:20:34.567Z user:alice thing.add thing:1 from ::1 after {"n":1}`
	if page[0].String() != want || revision(t, db, "thing") != 1 {
		t.Errorf("got %s, revision %d", page[0], revision(t, db, "thing"))
	}
	wantLog(t, db, 1)
}

func TestNeitherCommitsWithoutTheOther(t *testing.T) { onEach(t, checkNeitherCommitsWithoutTheOther) }

func checkNeitherCommitsWithoutTheOther(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	mine := errors.New("mine")
	for name, c := range map[string]struct {
		entry audit.Entry
		f     func(*Tx) error
		want  error
	}{
		"the change fails":         {entry, func(tx *Tx) error { return errors.Join(tx.Touch("a"), mine) }, mine},
		"the record is invalid":    {audit.Entry{Actor: "test"}, touch("a"), audit.ErrInvalid},
		"it is made invalid":       {entry, func(tx *Tx) error { tx.Audit().Object = "\x00"; return tx.Touch("a") }, audit.ErrInvalid},
		"the record cannot follow": {entry, func(tx *Tx) error { return errors.Join(tx.Touch("a"), breakTheLog(tx)) }, ErrConflict},
		"nothing to do":            {entry, func(tx *Tx) error { return errors.Join(tx.Touch("a"), NoChange) }, nil},
		"nothing to do after a failure": {entry, func(tx *Tx) error {
			tx.Exec(`INSERT INTO revisions (topic, revision) VALUES (NULL, 1)`)
			return NoChange
		}, ErrConflict},
		"an ignored failure": {entry, func(tx *Tx) error {
			tx.Exec(`INSERT INTO revisions (topic, revision) VALUES (NULL, 1)`)
			return nil
		}, ErrConflict},
		"going on after a failure": {entry, func(tx *Tx) error {
			tx.Exec(`INSERT INTO no_such_table VALUES (1)`)
			if err := tx.Touch("a"); err == nil {
				t.Error("a failed transaction accepts statements")
			}
			return nil
		}, errAny},
	} {
		if err := db.Change(t.Context(), c.entry, c.f); !errors.Is(err, c.want) && (c.want != errAny || err == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if n := revision(t, db, "a"); n != 0 {
			t.Errorf("%s: the change is there", name)
		}
		wantLog(t, db, 0)
	}
}

var errAny = errors.New("any error")

// breakTheLog makes the append of the next audit record fail.
func breakTheLog(tx *Tx) error {
	_, err := tx.Exec(`CREATE UNIQUE INDEX one_record_each ON audit_records (actor)`)
	return errors.Join(err, tx.Record(entry))
}

// Outside its call a transaction would be part of somebody else's, or write
// without an audit record.
func TestATransactionEndsWithItsCall(t *testing.T) { onEach(t, checkATransactionEndsWithItsCall) }

func checkATransactionEndsWithItsCall(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	var kept []*Tx
	keep := func(tx *Tx) error { kept = append(kept, tx); return nil }
	if err := errors.Join(db.View(t.Context(), keep), db.Change(t.Context(), entry, keep), db.ChangeUnaudited(t.Context(), keep)); err != nil {
		t.Fatal(err)
	}
	for i, tx := range kept {
		if _, err := tx.Generation(); err == nil {
			t.Errorf("transaction %d still reads", i)
		}
		if err := tx.Touch("a"); err == nil {
			t.Errorf("transaction %d still writes", i)
		}
	}
	if n := revision(t, db, "a"); n != 0 {
		t.Errorf("%d changes", n)
	}
}

func TestAClosedDatabaseRefusesInsteadOfWaiting(t *testing.T) {
	onEach(t, checkAClosedDatabaseRefusesInsteadOfWaiting)
}

func checkAClosedDatabaseRefusesInsteadOfWaiting(t *testing.T, fresh kind) {
	db, err := Open(t.Context(), fresh(t))
	if err != nil {
		t.Fatal(err)
	}
	revision(t, db, "a")
	for range 2 {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if _, err := db.Revision(t.Context(), "a"); err == nil {
			t.Error("a closed database was read")
		}
		if err := db.Change(t.Context(), entry, touch("a")); err == nil {
			t.Error("a closed database was written")
		}
	}
}

// More readers than connections, and more texts than a connection keeps.
func TestReadersShareFewConnections(t *testing.T) { onEach(t, checkReadersShareFewConnections) }

func checkReadersShareFewConnections(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	var all sync.WaitGroup
	for i := range 4 * maxReaders {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := db.View(ctx, func(tx *Tx) error {
				for q := range maxStatements {
					var n int
					if err := tx.Get(fmt.Sprintf(`SELECT $1 + %d`, q+i), []any{1}, &n); err != nil || n != q+i+1 {
						return fmt.Errorf("%d, %w", n, err)
					}
				}
				if i%3 == 0 {
					cancel() // whose connection is not used again
				}
				return tx.ctx.Err()
			})
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := revision(t, db, "a"); n != 0 {
		t.Error(n)
	}
	if open := db.read.Stats().OpenConnections; open > maxReaders {
		t.Errorf("%d connections", open)
	}
}

func TestConcurrentChangesMergeIntoFewCommits(t *testing.T) {
	onEach(t, checkConcurrentChangesMergeIntoFewCommits)
}

func checkConcurrentChangesMergeIntoFewCommits(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	const callers, each = 32, 25
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				if err := db.Change(context.Background(), entry, touch("a")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := revision(t, db, "a"); n != callers*each {
		t.Errorf("%d changes, want %d", n, callers*each)
	}
	wantLog(t, db, callers*each)
	if db.writer.commits > callers*each/2 {
		t.Errorf("%d changes took %d commits", callers*each, db.writer.commits)
	}
	t.Logf("%d changes in %d commits", callers*each, db.writer.commits)
}

// together runs the changes so that they share one transaction, in order.
func together(t *testing.T, db *DB, changes ...func(*Tx) error) []error {
	t.Helper()
	errs := make([]error, len(changes))
	var all sync.WaitGroup
	db.writer.mu.Lock()
	for i, f := range changes {
		before := db.writer.waiting.Load()
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("panic: %v", p)
				}
			}()
			errs[i] = db.Change(context.Background(), entry, f)
		})
		for db.writer.waiting.Load() == before {
			runtime.Gosched()
		}
	}
	commits := db.writer.commits
	db.writer.mu.Unlock()
	all.Wait()
	if got := db.writer.commits - commits; got != 1 {
		t.Errorf("the changes took %d commits, want 1", got)
	}
	return errs
}

func TestWhoFailsInASharedCommitFailsAlone(t *testing.T) {
	onEach(t, checkWhoFailsInASharedCommitFailsAlone)
}

func checkWhoFailsInASharedCommitFailsAlone(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	mine := errors.New("mine")
	errs := together(t, db,
		touch("a"),
		func(tx *Tx) error { return errors.Join(tx.Touch("a"), mine) },
		touch("a"),
		func(tx *Tx) error { tx.Touch("a"); panic("bug") },
		func(tx *Tx) error {
			_, err := tx.Exec(`INSERT INTO revisions (topic, revision) VALUES ('a', 1)`)
			return err
		},
		touch("a"),
	)
	if errs[0] != nil || !errors.Is(errs[1], mine) || errs[2] != nil || errs[3] == nil || !errors.Is(errs[4], ErrConflict) && errs[4] != nil || errs[5] != nil {
		t.Errorf("%q", errs)
	}
	if n := revision(t, db, "a"); n != 3 {
		t.Errorf("%d changes, want 3", n)
	}
	wantLog(t, db, 3)
}

func TestACancelledCallerDisturbsNobody(t *testing.T) { onEach(t, checkACancelledCallerDisturbsNobody) }

func checkACancelledCallerDisturbsNobody(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	ctx, cancel := context.WithCancel(t.Context())
	errs := together(t, db, touch("a"), func(tx *Tx) error {
		tx.ctx = ctx
		if err := tx.Touch("a"); err != nil {
			return err
		}
		cancel()
		return tx.Touch("a")
	}, touch("a"))
	if errs[0] != nil || !errors.Is(errs[1], context.Canceled) || errs[2] != nil {
		t.Errorf("%v", errs)
	}
	if err := db.Change(ctx, entry, touch("a")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := revision(t, db, "a"); n != 2 {
		t.Errorf("%d changes, want 2", n)
	}
}

func TestAFullDiskFailsTheBatchAndIsNamed(t *testing.T) {
	db := openAt(t, newPath(t))
	if _, err := db.writer.session.conn.ExecContext(t.Context(), `PRAGMA max_page_count = 1`); err != nil { // what there is, and no more
		t.Fatal(err)
	}
	big := audit.Entry{Actor: "test", Action: "test.big", After: audit.JSON(strings.Repeat("x", 60000))}
	err := db.Change(t.Context(), big, touch("a"))
	if !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if _, err := db.writer.session.conn.ExecContext(t.Context(), `PRAGMA max_page_count = 100000`); err != nil {
		t.Fatal(err)
	}
	if err := db.Change(t.Context(), big, touch("a")); err != nil || revision(t, db, "a") != 1 {
		t.Errorf("with room again: %v, revision %d", err, revision(t, db, "a"))
	}
	wantLog(t, db, 1)
}

func TestReadTransactionsCannotWrite(t *testing.T) { onEach(t, checkReadTransactionsCannotWrite) }

func checkReadTransactionsCannotWrite(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	err := db.View(t.Context(), func(tx *Tx) error { return tx.Touch("a") })
	if !errors.Is(err, ErrReadOnly) {
		t.Error(err)
	}
	if _, err := db.read.Exec(`DELETE FROM audit_records`); !errors.Is(explain(db.engine, err), ErrReadOnly) {
		t.Errorf("behind the back of Tx: %v", err)
	}
}

func TestReadersSeeOneMoment(t *testing.T) { onEach(t, checkReadersSeeOneMoment) }

func checkReadersSeeOneMoment(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	err := db.View(t.Context(), func(tx *Tx) error {
		before, err := tx.Revision("a")
		if err != nil {
			return err
		}
		if err := db.Change(t.Context(), entry, touch("a")); err != nil {
			return err
		}
		after, err := tx.Revision("a")
		if before != after {
			t.Errorf("revision %d became %d", before, after)
		}
		return err
	})
	if err != nil || revision(t, db, "a") != 1 {
		t.Error(err)
	}
}

func TestUnauditedChangesLeaveNoRecord(t *testing.T) { onEach(t, checkUnauditedChangesLeaveNoRecord) }

func checkUnauditedChangesLeaveNoRecord(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	if err := db.ChangeUnaudited(t.Context(), touch("a")); err != nil {
		t.Fatal(err)
	}
	if err := db.ChangeUnaudited(t.Context(), func(*Tx) error { return NoChange }); err != nil {
		t.Fatal(err)
	}
	if revision(t, db, "a") != 1 {
		t.Error("the change is not there")
	}
	wantLog(t, db, 0)
}

func TestOneChangeMayLeaveSeveralRecords(t *testing.T) {
	onEach(t, checkOneChangeMayLeaveSeveralRecords)
}

func checkOneChangeMayLeaveSeveralRecords(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	err := db.Change(t.Context(), entry, func(tx *Tx) error {
		return errors.Join(tx.Record(entry), tx.Record(entry))
	})
	if err != nil {
		t.Fatal(err)
	}
	wantLog(t, db, 3)
}

func TestGetAndEachReportWhatIsNotThere(t *testing.T) { onEach(t, checkGetAndEachReportWhatIsNotThere) }

func checkGetAndEachReportWhatIsNotThere(t *testing.T, fresh kind) {
	db := openAt(t, fresh(t))
	err := db.View(t.Context(), func(tx *Tx) error {
		var n int64
		return tx.Get(`SELECT revision FROM revisions WHERE topic = $1`, []any{"none"}, &n)
	})
	if !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	stop := errors.New("stop")
	err = db.View(t.Context(), func(tx *Tx) error {
		return tx.Each(`SELECT 1`, nil, func(func(...any) error) error { return stop })
	})
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}

func TestOtherConnectionsSeeTheGenerationMove(t *testing.T) {
	onEach(t, checkOtherConnectionsSeeTheGenerationMove)
}

func checkOtherConnectionsSeeTheGenerationMove(t *testing.T, fresh kind) {
	path := fresh(t)
	one, two := openAt(t, path), openAt(t, path)
	for want := range int64(3) {
		got, err := two.Generation(t.Context())
		if err != nil || got != want {
			t.Errorf("generation %d, %v; want %d", got, err, want)
		}
		if n := revision(t, two, "a"); n != want {
			t.Errorf("revision %d, want %d", n, want)
		}
		if err := one.Change(t.Context(), entry, touch("a")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestManyOpenANewDatabaseAtOnce(t *testing.T) { onEach(t, checkManyOpenANewDatabaseAtOnce) }

func checkManyOpenANewDatabaseAtOnce(t *testing.T, fresh kind) {
	path := fresh(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			db, err := Open(context.Background(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(db.Change(context.Background(), entry, touch("a")), db.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	db := openAt(t, path)
	if n := revision(t, db, "a"); n != 8 {
		t.Errorf("%d changes, want 8", n)
	}
	wantLog(t, db, 8)
}

const childChanges = 100

func childWrites(path string) error {
	ctx := context.Background()
	db, err := Open(ctx, path)
	if err != nil {
		return err
	}
	for range childChanges {
		if err := db.Change(ctx, entry, touch("a")); err != nil {
			return err
		}
	}
	return db.Close()
}

func TestProcessesTakeTurns(t *testing.T) { onEach(t, checkProcessesTakeTurns) }

func checkProcessesTakeTurns(t *testing.T, fresh kind) {
	path := fresh(t)
	db := openAt(t, path)
	const children = 2
	var running []*exec.Cmd
	for range children {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childEnv+"="+path)
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, child)
	}
	for range childChanges {
		if err := db.Change(t.Context(), entry, touch("a")); err != nil {
			t.Error(err)
		}
	}
	for _, child := range running {
		if err := child.Wait(); err != nil {
			t.Error(err)
		}
	}
	const want = (children + 1) * childChanges
	if n := revision(t, db, "a"); n != want {
		t.Errorf("%d changes, want %d", n, want)
	}
	wantLog(t, db, want)
}

func TestOnlyTheOwnerCanReadTheFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has access lists instead of modes")
	}
	path := newPath(t)
	db := openAt(t, path)
	if err := db.Change(t.Context(), entry, touch("a")); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", suffix, info.Mode(), err)
		}
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "missing", "ota.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	garbage := filepath.Join(t.TempDir(), "ota.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), garbage); !errors.Is(err, ErrDamaged) {
		t.Errorf("no database: %v", err)
	}
	path := newPath(t)
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.writer.session.conn.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); !errors.Is(err, ErrNewer) {
		t.Errorf("newer: %v", err)
	}
}

func TestAnotherProcessThatKeepsTheLockIsNamed(t *testing.T) {
	path := newPath(t)
	db := openAt(t, path)
	db.writer.patience = 50 * time.Millisecond
	other := openAt(t, path)
	err := other.Change(t.Context(), entry, func(tx *Tx) error {
		if err := db.Change(t.Context(), entry, touch("a")); !errors.Is(err, ErrBusy) {
			t.Errorf("%v, want ErrBusy", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	soon(t, "afterwards", func() error { return db.Change(t.Context(), entry, touch("a")) })
}

func TestCheckFindsDamage(t *testing.T) {
	path := newPath(t)
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := db.Change(t.Context(), entry, touch("a")); err != nil {
			t.Fatal(err)
		}
	}
	if problems, err := db.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("sound: %v, %v", problems, err)
	}
	if _, err := db.writer.session.conn.ExecContext(t.Context(), `PRAGMA foreign_keys = 0; INSERT INTO releases (identity, device_type, component, key_epoch, release_number, version,
		downgrade, security_counter, image_digest, manifest, manifest_hash, keyset_version, published_ms, published_by)
		VALUES (zeroblob(32), 't', '', 1, 1, '1.0.0', 0, 0, zeroblob(32), x'00', zeroblob(32), 1, 0, '')`); err != nil {
		t.Fatal(err)
	}
	if problems, err := db.Check(t.Context()); err != nil || len(problems) != 1 {
		t.Errorf("dangling references: %v, %v", problems, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(file) / 2; i < len(file)/2+6000; i++ {
		file[i] = byte(i)
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err = Open(t.Context(), path)
	if err != nil {
		return // seen earlier still
	}
	defer db.Close()
	if problems, err := db.Check(t.Context()); err == nil && len(problems) == 0 {
		t.Error("a damaged page was not found")
	}
}

func BenchmarkChange(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			db := openAt(b, newPath(b))
			var all sync.WaitGroup
			b.ResetTimer()
			for c := range callers {
				all.Go(func() {
					for i := c; i < b.N; i += callers {
						if err := db.Change(context.Background(), entry, touch("a")); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/float64(db.writer.commits), "changes/commit")
		})
	}
}

func BenchmarkRevision(b *testing.B) {
	db := openAt(b, newPath(b))
	for b.Loop() {
		if _, err := db.Revision(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
	}
}
