package store

import (
	"context"
	"database/sql"
	"sync"
)

// postgresClaims are the claims of one process: advisory locks of one session,
// which the server gives up when its connection ends.
type postgresClaims struct {
	mu      sync.Mutex
	db      *sql.DB // of one connection
	session *session
	held    map[string]bool // a session could take its own lock twice
}

// The locks of one schema are not those of another.
const (
	claimQuery   = `SELECT pg_try_advisory_lock(hashtextextended($1, CAST('audit_records' AS regclass)::oid::bigint))`
	releaseQuery = `SELECT pg_advisory_unlock(hashtextextended($1, CAST('audit_records' AS regclass)::oid::bigint))`
)

func (e *postgresEngine) claim(ctx context.Context, name string) (release func(), err error) {
	c := &e.claims
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[name] {
		return nil, ErrClaimed
	}
	got, err := c.take(ctx, e, name)
	if err != nil {
		return nil, err
	}
	if !got {
		return nil, ErrClaimed
	}
	c.held[name] = true
	session := c.session
	return func() { c.release(session, name) }, nil
}

// take asks for the lock, on a new session where the connection was lost.
func (c *postgresClaims) take(ctx context.Context, e *postgresEngine, name string) (got bool, err error) {
	for fresh := false; ; {
		if c.session == nil {
			if c.session, err = newSession(ctx, c.db); err != nil {
				return false, err
			}
			c.held, fresh = map[string]bool{}, true
		}
		err = c.session.queryRow(ctx, claimQuery, name).Scan(&got)
		if err == nil {
			return got, nil
		}
		lost := e.lost(c.session.conn)
		if !lost {
			return false, err
		}
		c.lose()
		if fresh || ctx.Err() != nil {
			return false, err
		}
	}
}

func (c *postgresClaims) release(s *session, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != s { // the claim went with its connection
		return
	}
	delete(c.held, name)
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	var released bool
	if err := s.queryRow(ctx, releaseQuery, name).Scan(&released); err != nil {
		c.lose() // and with it every claim: better none than one that nobody holds
	}
}

// lose ends the connection, and what was held by it.
func (c *postgresClaims) lose() {
	c.session.close()
	c.session, c.held = nil, nil
}

func (c *postgresClaims) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		c.session.close()
		c.session = nil
	}
	if c.db == nil {
		return nil
	}
	return c.db.Close()
}
