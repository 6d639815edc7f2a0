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
// the store, so that every replica knows them. Those of a token end with it.
type Sessions struct {
	Operators
	Terms string // Person.Terms of the sessions of persons that count; empty: nobody's do
}

// Open opens a session for the owner of a token and returns its id, which is a
// secret that did not exist before: whoever planted an id in a browser before
// the login has nothing. old, the id that the browser had, ends.
func (s Sessions) Open(ctx context.Context, by Actor, token, old Token) (id Token, err error) {
	return s.open(ctx, by, token.Hash(), Person{}, old)
}

// OpenPerson is Open for a person at an address. The role is the one of now:
// what the provider says later counts at the next login.
func (s Sessions) OpenPerson(ctx context.Context, p Person, address string, old Token) (id Token, err error) {
	return s.open(ctx, p.Actor(address), TokenHash{}, p, old) // no token has the hash zero
}

// opening is what the audit log has of a login.
type opening struct {
	Expires time.Time `json:"expires"`
	Issuer  string    `json:"issuer,omitzero"`
	Subject string    `json:"subject,omitzero"`
	Role    *Role     `json:"role,omitzero"`
}

func (s Sessions) open(ctx context.Context, by Actor, tokenHash TokenHash, p Person, old Token) (id Token, err error) {
	id = NewToken(SessionPrefix)
	hash, oldHash := id.Hash(), old.Hash()
	err = s.DB.Change(ctx, by.Entry("session.open", by.Name), func(tx *store.Tx) error {
		now := tx.Now()
		expires := now.Add(SessionLife)
		record := opening{Expires: expires, Issuer: p.Issuer, Subject: p.Subject}
		if p.Terms != "" {
			record.Role = &p.Role
		}
		tx.Audit().After = audit.JSON(record)
		_, err := tx.Exec(`DELETE FROM console_sessions WHERE hash = $1 OR expires_ms <= $2`, oldHash[:], now.UnixMilli())
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO console_sessions (hash, token_hash, opened_ms, used_ms, expires_ms, terms, person, role)
			VALUES ($1, $2, $3, $3, $4, $5, $6, $7)`,
			hash[:], tokenHash[:], now.UnixMilli(), expires.UnixMilli(), p.Terms, p.Name, int64(p.Role))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("open session: %w", err)
	}
	return id, nil
}

// Find returns who a session belongs to, or ErrUnauthorized: unknown, over,
// its token is, or it was opened on other terms than this server's. used says
// that a person did something, which puts the idle end off. Where the actor is,
// the caller knows.
func (s Sessions) Find(ctx context.Context, id Token, used bool) (Actor, error) {
	hash := id.Hash()
	var tokenHash []byte
	var person Person
	var usedMS, expiresMS, role int64
	err := s.DB.View(ctx, func(tx *store.Tx) error {
		return tx.Get(`SELECT token_hash, used_ms, expires_ms, terms, person, role FROM console_sessions WHERE hash = $1`,
			[]any{hash[:]}, &tokenHash, &usedMS, &expiresMS, &person.Terms, &person.Name, &role)
	})
	if errors.Is(err, store.ErrNotFound) {
		return Actor{}, ErrUnauthorized
	}
	if err != nil {
		return Actor{}, fmt.Errorf("find session: %w", err)
	}
	now := s.DB.Now().UnixMilli()
	if now >= expiresMS || now >= usedMS+SessionIdle.Milliseconds() || person.Terms != "" && person.Terms != s.Terms {
		return Actor{}, ErrUnauthorized
	}
	person.Role = Role(role)
	actor := person.Actor("")
	if person.Terms == "" {
		op, err := s.byHash(ctx, TokenHash(tokenHash))
		if err != nil {
			return Actor{}, err
		}
		actor = op.Actor("")
	}
	if used && now >= usedMS+usedGrain.Milliseconds() {
		err = s.DB.ChangeUnaudited(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE console_sessions SET used_ms = $1 WHERE hash = $2 AND used_ms < $1`, now, hash[:])
			return err
		})
		if err != nil {
			return Actor{}, fmt.Errorf("note use of session: %w", err)
		}
	}
	return actor, nil
}

// revoke ends the sessions of a person.
func (s Sessions) revoke(ctx context.Context, by Actor, person string) error {
	err := s.DB.Change(ctx, by.Entry("session.revoke", personPrefix+person), func(tx *store.Tx) error {
		rows, err := tx.Exec(`DELETE FROM console_sessions WHERE person = $1 AND terms <> ''`, person)
		if err == nil && rows == 0 {
			return ErrNotFound
		}
		tx.Audit().After = audit.JSON(map[string]int64{"sessions": rows})
		return err
	})
	if err != nil {
		return fmt.Errorf("end the sessions of %q: %w", person, err)
	}
	return nil
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
