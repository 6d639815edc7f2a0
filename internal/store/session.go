package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
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

// Transactions are begun and ended by statements. A sql.Tx would hold a lock on
// the connection that a statement needs which finds the connection lost.

// begin begins a transaction with a statement of the engine.
func (s *session) begin(ctx context.Context, statement string) error {
	_, err := s.conn.ExecContext(ctx, statement)
	return err
}

func (s *session) commit(ctx context.Context) error {
	_, err := s.conn.ExecContext(ctx, `COMMIT`)
	return err
}

// rollback ends a transaction, whatever became of it.
func (s *session) rollback(ctx context.Context) error {
	_, err := s.conn.ExecContext(ctx, `ROLLBACK`)
	return err
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

func (s *session) forget() {
	for _, stmt := range s.compiled {
		stmt.Close() // fails where the connection is lost, and the statement with it
	}
	clear(s.compiled)
}

// close closes the connection, whatever state it is in. Nothing waits on it to
// be written: what was committed is durable.
func (s *session) close() {
	s.forget()
	s.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that its pool does not keep it
	s.conn.Close()
}
