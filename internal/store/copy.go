package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
)

// Refusals of a copy, for errors.Is.
var (
	ErrNotEmpty   = errors.New("the database is not empty")
	ErrIncomplete = errors.New("everything is still being copied into this database: end that first")
	ErrMoved      = errors.New("the source has changed since the copy was begun: empty the target and begin again")
)

const (
	copyPage     = 500              // rows are copied in one transaction
	copyPatience = 20 * time.Second // with what still writes to the source
)

// A Copy copies everything from one database into another, of the same kind or
// of the other one, row by row: the audit log with its chain, tokens, devices,
// what is published. What was broken off goes on where it stood.
type Copy struct {
	From, To *DB
	// Before runs once nobody else can write to the source, and before the first
	// row is copied; it reads the source through tx. Nil: nothing.
	Before func(tx *Tx) error
	// Progress is told how many rows of a table are copied. Nil: nobody.
	Progress func(table string, done, total int64)
}

// Run copies. Nobody can write to the source meanwhile, and the target refuses
// to be used, until Finish. ErrNotEmpty: the target holds something, and that
// is not an earlier part of this copy.
func (c Copy) Run(ctx context.Context) error {
	return c.From.frozen(ctx, func(source *Tx) error {
		if err := c.begin(ctx, source); err != nil {
			return err
		}
		if c.Before != nil {
			if err := c.Before(source); err != nil {
				return err
			}
		}
		tables, err := c.From.tables(source)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if err := c.table(ctx, source, t); err != nil {
				return fmt.Errorf("copy table %s: %w", t.name, err)
			}
		}
		return nil
	})
}

// Finish makes the target usable, once it was seen to be sound. The record of
// that is the first that it has of its own.
func (c Copy) Finish(ctx context.Context, entry audit.Entry) error {
	return c.To.Change(ctx, entry, func(tx *Tx) error {
		_, err := tx.Exec(`DELETE FROM copying`)
		return err
	})
}

// Copying reports whether a copy into this database is not finished
// (ErrIncomplete).
func (db *DB) Copying(ctx context.Context) error {
	var n int64
	err := db.View(ctx, func(tx *Tx) error { return tx.Get(`SELECT COUNT(*) FROM copying`, nil, &n) })
	if err == nil && n > 0 {
		return ErrIncomplete
	}
	return err
}

// begin finds out whether the target is empty, or holds the beginning of this
// very copy.
func (c Copy) begin(ctx context.Context, source *Tx) error {
	head, err := source.AuditHead()
	if err != nil {
		return err
	}
	tables, err := c.From.tables(source)
	if err != nil {
		return err
	}
	return c.To.ChangeUnaudited(ctx, func(tx *Tx) error {
		var seq int64
		var hash []byte
		err := tx.Get(`SELECT source_seq, source_hash FROM copying`, nil, &seq, &hash)
		switch {
		case err == nil && (seq != head.Seq || string(hash) != string(head.Hash[:])):
			return ErrMoved
		case err == nil:
			return NoChange
		case !errors.Is(err, ErrNotFound):
			return err
		}
		for _, t := range tables {
			var n int64
			if err := tx.Get(`SELECT COUNT(*) FROM `+t.name, nil, &n); err != nil {
				return err
			}
			if n > 0 && !t.counters() {
				return fmt.Errorf("%w: table %s has %d rows", ErrNotEmpty, t.name, n)
			}
		}
		_, err = tx.Exec(`INSERT INTO copying (id, source_seq, source_hash, started_ms) VALUES (1, $1, $2, $3)`,
			head.Seq, head.Hash[:], tx.Now().UnixMilli())
		return err
	})
}

// A copiedTable is what a copy knows of a table.
type copiedTable struct {
	name    string
	columns []string
	key     []string // columns of the primary key
}

// counters reports whether a table has rows from the beginning, and is copied
// as a whole each time.
func (t copiedTable) counters() bool { return t.name == "revisions" }

// table copies the rows of a table in the order of its key, from where the
// target ends: what is there is always the beginning of the table.
func (c Copy) table(ctx context.Context, source *Tx, t copiedTable) error {
	var total, done int64
	if err := source.Get(`SELECT COUNT(*) FROM `+t.name, nil, &total); err != nil {
		return err
	}
	var after []any // the key of the last row that the target has; nil: it has none
	if !t.counters() {
		err := c.To.View(ctx, func(tx *Tx) (err error) {
			if err := tx.Get(`SELECT COUNT(*) FROM `+t.name, nil, &done); err != nil || done == 0 {
				return err
			}
			keys, dest := anys(len(t.key))
			after = keys
			return tx.Get(fmt.Sprintf(`SELECT %s FROM %s ORDER BY %s LIMIT 1`, list(t.key), t.name, strings.Join(t.key, " DESC, ")+" DESC"), nil, dest...)
		})
		if err != nil {
			return err
		}
	}
	for {
		c.report(t.name, done, total)
		page, err := t.read(source, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		if err := c.To.ChangeUnaudited(ctx, func(tx *Tx) error { return t.write(tx, page) }); err != nil {
			return err
		}
		done += int64(len(page))
		after = t.keyOf(page[len(page)-1])
	}
	if done != total {
		return fmt.Errorf("%w: %d rows are there, %d belong there", ErrMoved, done, total)
	}
	return nil
}

func (c Copy) report(table string, done, total int64) {
	if c.Progress != nil {
		c.Progress(table, done, total)
	}
}

// read reads the rows after a key.
func (t copiedTable) read(tx *Tx, after []any) (page [][]any, err error) {
	where := ""
	if after != nil {
		where = fmt.Sprintf(`WHERE (%s) > (%s)`, list(t.key), marks(len(t.key)))
	}
	query := fmt.Sprintf(`SELECT %s FROM %s %s ORDER BY %s LIMIT %d`, list(t.columns), t.name, where, list(t.key), copyPage)
	err = tx.Each(query, after, func(scan func(...any) error) error {
		row, dest := anys(len(t.columns))
		err := scan(dest...)
		for i, value := range row {
			// SQLite's driver reads no bytes as nil bytes, which it would write as NULL.
			if raw, ok := value.([]byte); ok && raw == nil {
				row[i] = []byte{}
			}
		}
		page = append(page, row)
		return err
	})
	return page, err
}

func (t copiedTable) write(tx *Tx, page [][]any) error {
	conflict := `DO NOTHING`
	if t.counters() {
		conflict = `DO UPDATE SET revision = excluded.revision`
	}
	query := fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (%s) %s`, t.name, list(t.columns), marks(len(t.columns)), list(t.key), conflict)
	for _, row := range page {
		rows, err := tx.Exec(query, row...)
		if err == nil && rows != 1 {
			err = fmt.Errorf("%w: row %v is there already", ErrNotEmpty, t.keyOf(row))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t copiedTable) keyOf(row []any) (key []any) {
	for _, column := range t.key {
		key = append(key, row[slices.Index(t.columns, column)])
	}
	return key
}

// anys returns n values, and where to scan them.
func anys(n int) (values, dest []any) {
	values = make([]any, n)
	for i := range values {
		dest = append(dest, &values[i])
	}
	return values, dest
}

func list(columns []string) string { return strings.Join(columns, ", ") }

// marks returns n placeholders.
func marks(n int) string {
	var m []string
	for i := range n {
		m = append(m, fmt.Sprintf("$%d", i+1))
	}
	return strings.Join(m, ", ")
}

// frozen runs f in a transaction that nobody writes beside, and undoes it.
func (db *DB) frozen(ctx context.Context, f func(*Tx) error) error {
	read, write, err := db.connect(ctx)
	if err != nil {
		return fmt.Errorf("keep others from writing: %w", explain(db.engine, err))
	}
	defer read.Close()
	defer write.Close()
	s, err := newSession(ctx, write)
	if err == nil {
		defer s.close()
		err = db.beginWriting(ctx, s, copyPatience)
	}
	if err == nil && db.Shared() {
		_, err = s.exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`) // it waits for what is copied
	}
	if err != nil {
		return fmt.Errorf("keep others from writing: %w", explain(db.engine, err))
	}
	defer s.rollback(context.WithoutCancel(ctx))
	tx := &Tx{ctx: ctx, running: ctx, engine: db.engine, sql: s, now: db.Now}
	defer tx.end()
	return f(tx)
}

// tables returns all tables with what is to be copied, each after those it
// refers to.
func (db *DB) tables(tx *Tx) (sorted []copiedTable, err error) {
	all, err := names(tx, db.tableNames())
	if err != nil {
		return nil, err
	}
	placed := map[string]bool{}
	for len(all) > 0 {
		var waiting []string
		for _, name := range all {
			t, refers, err := db.describe(tx, name)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(refers, func(other string) bool { return other != name && !placed[other] }) {
				waiting = append(waiting, name)
				continue
			}
			sorted, placed[name] = append(sorted, t), true
		}
		if len(waiting) == len(all) {
			return nil, fmt.Errorf("tables %s refer to each other", list(waiting))
		}
		all = waiting
	}
	return slices.DeleteFunc(sorted, func(t copiedTable) bool { return t.name == "copying" || t.name == "goose_db_version" }), nil
}

// describe returns a table and the tables that it refers to.
func (db *DB) describe(tx *Tx, table string) (t copiedTable, refers []string, err error) {
	t.name = table
	columns, key, references := db.tableQueries(table)
	if t.columns, err = names(tx, columns); err != nil {
		return t, nil, err
	}
	if t.key, err = names(tx, key); err != nil {
		return t, nil, err
	}
	refers, err = names(tx, references)
	return t, refers, err
}
