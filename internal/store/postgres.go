package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// postgresEngine is a database of a PostgreSQL server, shared by any number of
// machines.
type postgresEngine struct {
	config   *pgx.ConnConfig
	redacted string // the URL, without a password
	claims   postgresClaims
}

func (e *postgresEngine) name() string { return e.redacted }

// Bounds of PostgreSQL's own waiting.
const (
	lockWait = Patience * 5 / 6 // before a server that hangs is told from one that is busy
	turnTime = 10 * time.Second // of a replica that has the turn to write and does nothing
)

// What each connection asks of its server. A replica that hangs, or whose
// machine is gone, must not keep the turn to write for long: the others refuse
// changes meanwhile.
var postgresSettings = map[string]string{
	"application_name":                    "secure-ota",
	"lock_timeout":                        strconv.FormatInt(lockWait.Milliseconds(), 10),
	"idle_in_transaction_session_timeout": strconv.FormatInt(turnTime.Milliseconds(), 10),
	"tcp_keepalives_idle":                 "5", // seconds
	"tcp_keepalives_interval":             "2",
	"tcp_keepalives_count":                "3",
}

func (e *postgresEngine) connect(context.Context) (read, write *sql.DB, err error) {
	calm := &calmConnector{now: time.Now}
	e.claims.db = e.pool(calm, 1, "off")
	return e.pool(calm, maxReaders, "on"), e.pool(calm, 1, "off"), nil
}

func (e *postgresEngine) close() error { return e.claims.close() }

func (e *postgresEngine) pool(calm *calmConnector, conns int, readOnly string) *sql.DB {
	config := e.config.Copy()
	for name, value := range postgresSettings {
		if _, ok := config.RuntimeParams[name]; !ok { // else the URL or the environment says it
			config.RuntimeParams[name] = value
		}
	}
	config.RuntimeParams["default_transaction_read_only"] = readOnly
	db := sql.OpenDB(calm.of(stdlib.GetConnector(*config, stdlib.OptionAfterConnect(durable))))
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}

// durable sees to it that a commit is synced, even if the server's
// configuration trades that for speed.
func durable(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

func (e *postgresEngine) viewing() string { return `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY` }

// beginWriting takes a lock that ends with the transaction. The audit log is
// one chain, so writers take turns all over the fleet of replicas; what a
// transaction reads afterwards, statement by statement, is what the one before
// left. The lock is named after the table of the chain: several schemas in one
// database do not disturb each other.
func (e *postgresEngine) beginWriting(ctx context.Context, s *session, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.begin(ctx, `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock(CAST('audit_records' AS regclass)::oid::bigint)`)
}

func (e *postgresEngine) hangs() bool { return true }

func (e *postgresEngine) lost(conn *sql.Conn) bool {
	closed := false
	err := conn.Raw(func(c any) error {
		closed = c.(*stdlib.Conn).Conn().IsClosed()
		return nil
	})
	return closed || err != nil
}

func (e *postgresEngine) provider(db *sql.DB, migrations fs.FS) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectPostgres, db, postgresMigrations{migrations},
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(migrationLock{}))
}

// migrationLock lets one of several replicas that start at once bring the
// schema up to date, while the others wait.
type migrationLock struct{}

// migrationLockKey is a number that nobody else should use in this database.
const migrationLockKey = 0x6f74615f6d6967 // "ota_mig"

func (migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLockKey))
	return err
}

func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(migrationLockKey))
	return err
}

func (e *postgresEngine) sentinel(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return sentinelOfState(pg.Code)
	}
	var file *fs.PathError // of a certificate, for instance
	if errors.As(err, &file) {
		return nil
	}
	var network net.Error // also of a deadline that passed
	var connecting *pgconn.ConnectError
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &network) || errors.As(err, &connecting) {
		return ErrUnavailable
	}
	return nil
}

// sentinelOfState maps an SQLSTATE; its first two characters are its class.
func sentinelOfState(state string) error {
	switch state {
	case "25006": // read-only transaction: a standby
		return ErrReadOnly
	case "25P03", "53300", "57P01", "57P02", "57P03", "57P05": // ended by the server, or not accepted by it
		return ErrUnavailable
	case "40001", "40P01", "55P03", "57014": // serialization, deadlock, lock not available, statement timeout
		return ErrBusy
	case "42501":
		return ErrPermission
	case "53100":
		return ErrFull
	}
	switch state[:min(len(state), 2)] {
	case "08":
		return ErrUnavailable
	case "23":
		return ErrConflict
	case "28": // wrong password, no such role
		return ErrPermission
	case "XX":
		return ErrDamaged
	}
	return nil
}

// check reads every row, so that a page that is damaged is noticed, and holds
// every reference against what it refers to. Indexes are for pg_amcheck.
func (e *postgresEngine) check(tx *Tx) (problems []string, err error) {
	tables, err := names(tx, e.tableNames())
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		var bytes int64
		if err := tx.Get(fmt.Sprintf(`SELECT COALESCE(SUM(LENGTH(CAST(t AS TEXT))), 0) FROM %q t`, table), nil, &bytes); err != nil {
			return problems, fmt.Errorf("read table %s: %w", table, err)
		}
	}
	dangling, err := names(tx, danglingQueries)
	if err != nil {
		return nil, err
	}
	for _, query := range dangling {
		var table string
		var count int64
		if err := tx.Get(query, nil, &table, &count); err != nil {
			return problems, err
		}
		if count > 0 {
			problems = append(problems, fmt.Sprintf("%d rows of %s refer to something that is not there", count, table))
		}
	}
	return problems, nil
}

// danglingQueries yields for each foreign key the query that counts the rows
// that break it.
const danglingQueries = `SELECT format('SELECT %L, COUNT(*) FROM %s a WHERE %s AND NOT EXISTS (SELECT 1 FROM %s b WHERE %s)',
		c.conrelid::regclass, c.conrelid::regclass,
		(SELECT string_agg(format('a.%I IS NOT NULL', f.attname), ' AND ') FROM pg_attribute f
			WHERE f.attrelid = c.conrelid AND f.attnum = ANY (c.conkey)),
		c.confrelid::regclass,
		(SELECT string_agg(format('a.%I = b.%I', f.attname, t.attname), ' AND ')
			FROM generate_subscripts(c.conkey, 1) i
			JOIN pg_attribute f ON f.attrelid = c.conrelid AND f.attnum = c.conkey[i]
			JOIN pg_attribute t ON t.attrelid = c.confrelid AND t.attnum = c.confkey[i]))
	FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
	WHERE c.contype = 'f' AND n.nspname = current_schema() ORDER BY 1`

// names returns the one column that the query yields.
func names(tx *Tx, query string) (list []string, err error) {
	err = tx.Each(query, nil, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		list = append(list, name)
		return err
	})
	return list, err
}

func (e *postgresEngine) tableNames() string {
	return `SELECT table_name FROM information_schema.tables
		WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name`
}

func (e *postgresEngine) tableQueries(table string) (columns, key, references string) {
	return fmt.Sprintf(`SELECT column_name FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name = '%s' ORDER BY ordinal_position`, table),
		fmt.Sprintf(`SELECT a.attname FROM pg_index i, generate_subscripts(i.indkey, 1) n, pg_attribute a
			WHERE i.indrelid = CAST('%[1]s' AS regclass) AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = i.indkey[n] ORDER BY n`, table),
		fmt.Sprintf(`SELECT r.relname FROM pg_constraint c JOIN pg_class r ON r.oid = c.confrelid
			WHERE c.contype = 'f' AND c.conrelid = CAST('%s' AS regclass)`, table)
}
