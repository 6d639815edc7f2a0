package store

import (
	"context"
	"database/sql"
	"errors"
)

// maxStatements is how many compiled statements one connection keeps.
const maxStatements = 200

// A session is one connection with what was compiled on it: SQLite takes
// several times longer to compile a small statement than to run it. It is for
// one goroutine at a time. What runs on it belongs to the transaction that is
// open on the connection.
type session struct {
	conn     *sql.Conn
	compiled map[string]*sql.Stmt
}

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, compiled: map[string]*sql.Stmt{}}, nil
}

// statement returns the compiled query. Its text is the key: what varies
// belongs in arguments.
func (s *session) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := s.compiled[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(s.compiled) == maxStatements {
		s.forget()
	}
	s.compiled[query] = stmt
	return stmt, nil
}

func (s *session) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := s.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

func (s *session) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (s *session) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	stmt, err := s.statement(ctx, query)
	if err != nil {
		return s.conn.QueryRowContext(ctx, query, args...) // only a query makes a Row that holds the error
	}
	return stmt.QueryRowContext(ctx, args...)
}

func (s *session) forget() (err error) {
	for _, stmt := range s.compiled {
		err = errors.Join(err, stmt.Close())
	}
	clear(s.compiled)
	return err
}

// close gives the connection back to its pool.
func (s *session) close() error {
	err := s.forget()
	if closing := s.conn.Close(); !errors.Is(closing, sql.ErrConnDone) { // else it was closed before
		err = errors.Join(err, closing)
	}
	return err
}
