package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
)

// Ends of a session: without use, and whatever happens.
const (
	SessionIdle = time.Hour
	SessionLife = 12 * time.Hour
)

// usedGrain is how exactly the last use of a session is known. A write for
// every request would cost more than the request.
const usedGrain = time.Minute

// SessionPrefix tells people what a session's id is.
const SessionPrefix = "ota_ses_"

// Sessions are the browsers that operators have logged in with. They stand in
// the store, so that every replica knows them, and end with their token.
type Sessions struct {
	Operators
}

// Open opens a session for the owner of a token and returns its id, which is a
// secret that did not exist before: whoever planted an id in a browser before
// the login has nothing. old, the id that the browser had, ends.
func (s Sessions) Open(ctx context.Context, by Actor, token, old Token) (id Token, err error) {
	id = NewToken(SessionPrefix)
	hash, tokenHash, oldHash := id.Hash(), token.Hash(), old.Hash()
	err = s.DB.Change(ctx, by.Entry("session.open", by.Name), func(tx *store.Tx) error {
		now := tx.Now()
		expires := now.Add(SessionLife)
		tx.Audit().After = audit.JSON(map[string]any{"expires": expires})
		_, err := tx.Exec(`DELETE FROM console_sessions WHERE hash = $1 OR expires_ms <= $2`, oldHash[:], now.UnixMilli())
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO console_sessions (hash, token_hash, opened_ms, used_ms, expires_ms) VALUES ($1, $2, $3, $3, $4)`,
			hash[:], tokenHash[:], now.UnixMilli(), expires.UnixMilli())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("open session: %w", err)
	}
	return id, nil
}

// Find returns who a session belongs to, or ErrUnauthorized: unknown, over,
// or its token is. used says that a person did something, which puts the idle
// end off.
func (s Sessions) Find(ctx context.Context, id Token, used bool) (Operator, error) {
	hash := id.Hash()
	var tokenHash []byte
	var usedMS, expiresMS int64
	err := s.DB.View(ctx, func(tx *store.Tx) error {
		return tx.Get(`SELECT token_hash, used_ms, expires_ms FROM console_sessions WHERE hash = $1`,
			[]any{hash[:]}, &tokenHash, &usedMS, &expiresMS)
	})
	if errors.Is(err, store.ErrNotFound) {
		return Operator{}, ErrUnauthorized
	}
	if err != nil {
		return Operator{}, fmt.Errorf("find session: %w", err)
	}
	now := s.DB.Now().UnixMilli()
	if now >= expiresMS || now >= usedMS+SessionIdle.Milliseconds() || len(tokenHash) != len(TokenHash{}) {
		return Operator{}, ErrUnauthorized
	}
	op, err := s.byHash(ctx, TokenHash(tokenHash))
	if err != nil {
		return Operator{}, err
	}
	if used && now >= usedMS+usedGrain.Milliseconds() {
		err = s.DB.ChangeUnaudited(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE console_sessions SET used_ms = $1 WHERE hash = $2 AND used_ms < $1`, now, hash[:])
			return err
		})
		if err != nil {
			return Operator{}, fmt.Errorf("note use of session: %w", err)
		}
	}
	return op, nil
}

// Close ends a session. One that there is not is no error.
func (s Sessions) Close(ctx context.Context, by Actor, id Token) error {
	hash := id.Hash()
	err := s.DB.Change(ctx, by.Entry("session.close", by.Name), func(tx *store.Tx) error {
		rows, err := tx.Exec(`DELETE FROM console_sessions WHERE hash = $1`, hash[:])
		if err == nil && rows == 0 {
			return store.NoChange
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("close session: %w", err)
	}
	return nil
}
