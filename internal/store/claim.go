package store

import (
	"context"
	"errors"
	"fmt"
)

// ErrClaimed means that another process, or another call in this one, holds a
// claim.
var ErrClaimed = errors.New("claimed by another process")

// Claim makes the caller the only one of all replicas that works on something
// by that name, until release is called or the process ends, however it ends
// (ErrClaimed: somebody else does). Should the connection to the server break,
// the claim is lost without a word: a claim keeps workers from each other's
// way, and does not make safe what otherwise is not.
//
// On SQLite it needs a lock of the machine, which is not this package's:
// ErrClaimsUnsupported.
func (db *DB) Claim(ctx context.Context, name string) (release func(), err error) {
	claims, ok := db.engine.(interface {
		claim(ctx context.Context, name string) (release func(), err error)
	})
	if !ok {
		return nil, ErrClaimsUnsupported
	}
	if err := db.writer.gate.refusal(); err != nil {
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if release, err = claims.claim(ctx, name); err != nil {
		err = explain(db.engine, err)
		db.writer.gate.shut(err)
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	return release, nil
}

// ErrClaimsUnsupported means that this kind of database knows no claims.
var ErrClaimsUnsupported = errors.New("this database knows no claims")
