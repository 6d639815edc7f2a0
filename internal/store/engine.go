package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// An engine is what SQLite and PostgreSQL do differently.
type engine interface {
	// connect opens the two pools; connections are made when they are needed.
	connect(ctx context.Context) (read, write *sql.DB, err error)
	// close closes what else the engine has open.
	close() error
	// provider returns what brings the schema up to date through db.
	provider(db *sql.DB, migrations fs.FS) (*goose.Provider, error)
	// viewing is the statement that begins a transaction which sees one moment.
	viewing() string
	// beginWriting begins a transaction that writes, once it is the only one of
	// all processes. It waits for that for patience at most (ErrBusy).
	beginWriting(ctx context.Context, s *session, patience time.Duration) error
	// hangs reports whether an answer may never come.
	hangs() bool
	// lost reports whether the connection is gone for good.
	lost(conn *sql.Conn) bool
	// sentinel returns the sentinel that an error of the driver stands for, nil
	// if for none.
	sentinel(err error) error
	// check says what is wrong with the database, one sentence each.
	check(tx *Tx) (problems []string, err error)
	// tableNames is the query that yields the names of all tables, and
	// tableQueries those that yield the columns of one, the columns of its
	// primary key, and the tables that it refers to.
	tableNames() string
	tableQueries(table string) (columns, key, references string)
}

// An opened location: the engine and how to name it to people.
type place struct {
	engine
	name string // without a password
}

// locate says which engine serves a location.
func locate(location string) (place, error) {
	if IsPostgres(location) {
		p, err := parsePostgres(location)
		if err != nil {
			return place{}, err
		}
		return place{p, p.name()}, nil
	}
	if scheme, _, ok := strings.Cut(location, "://"); ok {
		return place{}, fmt.Errorf("open database: %s:// is not known: want a file or postgres://", scheme)
	}
	return place{&sqliteEngine{path: location}, location}, nil
}

// IsPostgres reports whether a location names a database of a PostgreSQL
// server, and not a file.
func IsPostgres(location string) bool {
	return strings.HasPrefix(location, "postgres://") || strings.HasPrefix(location, "postgresql://")
}
