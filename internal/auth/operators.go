package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
)

// The refusals that callers tell apart.
var (
	ErrUnauthorized = errors.New("token unknown or expired")
	ErrExists       = errors.New("exists already")
	ErrNotFound     = errors.New("not found")
	ErrInvalid      = errors.New("invalid request")
)

// An Actor is who does something, for the audit log and for authorisation. The
// zero value may do nothing.
type Actor struct {
	Name    string // "user:alice", "system"
	Role    Role
	Address string // where the request came from; empty: this machine
}

// Require refuses (ErrForbidden) who has less than the role needed.
func (a Actor) Require(needed Role) error {
	if a.Role < needed {
		return fmt.Errorf("%s is %s, this needs %s: %w", a.Name, a.Role, needed, ErrForbidden)
	}
	return nil
}

// Entry returns the audit entry of something that the actor does.
func (a Actor) Entry(action, object string) audit.Entry {
	return audit.Entry{Actor: a.Name, Action: action, Object: object, Address: a.Address}
}

// An Operator is a token's owner.
type Operator struct {
	Name      string    `json:"name"`
	Role      Role      `json:"role"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
}

// NewOperator asks for a token.
type NewOperator struct {
	Name  string        // a name as in package manifest, unique
	Role  Role          // Viewer or more
	Valid time.Duration // 0: for ever
}

// Operators are the operators' tokens in the store.
type Operators struct {
	DB *store.DB
}

// Add makes a token.
func (o Operators) Add(ctx context.Context, by Actor, n NewOperator) (Token, error) {
	if err := manifest.CheckName(n.Name); err != nil {
		return "", fmt.Errorf("add token: %w: %v", ErrInvalid, err)
	}
	if n.Role < Viewer || n.Role > Administrator || n.Valid < 0 {
		return "", fmt.Errorf("add token %s: %w: role %s, valid for %s", n.Name, ErrInvalid, n.Role, n.Valid)
	}
	token := NewToken(OperatorPrefix)
	hash := token.Hash()
	err := o.DB.Change(ctx, by.Entry("token.add", "token:"+n.Name), func(tx *store.Tx) error {
		op := Operator{Name: n.Name, Role: n.Role, CreatedAt: tx.Now()}
		var expires any
		if n.Valid > 0 {
			op.ExpiresAt = op.CreatedAt.Add(n.Valid)
			expires = op.ExpiresAt.UnixMilli()
		}
		tx.Audit().After = audit.JSON(op)
		rows, err := tx.Exec(`INSERT INTO operator_tokens (name, hash, role, created_ms, created_by, expires_ms)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING`,
			op.Name, hash[:], int64(op.Role), op.CreatedAt.UnixMilli(), by.Name, expires)
		if err == nil && rows == 0 {
			return ErrExists
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("add token %s: %w", n.Name, err)
	}
	return token, nil
}

// Authenticate finds the owner of a token, or ErrUnauthorized. It looks by the
// hash: what its timing tells is about the hash, not about the token.
func (o Operators) Authenticate(ctx context.Context, token Token) (Operator, error) {
	return o.byHash(ctx, token.Hash())
}

func (o Operators) byHash(ctx context.Context, hash TokenHash) (Operator, error) {
	var op Operator
	err := o.DB.View(ctx, func(tx *store.Tx) error {
		found, err := scanOperator(func(dest ...any) error {
			return tx.Get(operatorColumns+` WHERE hash = $1`, []any{hash[:]}, dest...)
		})
		op = found
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return Operator{}, ErrUnauthorized
	}
	if err != nil {
		return Operator{}, fmt.Errorf("authenticate: %w", err)
	}
	if !op.ExpiresAt.IsZero() && !o.DB.Now().Before(op.ExpiresAt) {
		return Operator{}, ErrUnauthorized
	}
	return op, nil
}

// List returns the operators by name.
func (o Operators) List(ctx context.Context) ([]Operator, error) {
	list := []Operator{}
	err := o.DB.View(ctx, func(tx *store.Tx) error {
		return tx.Each(operatorColumns+` ORDER BY name`, nil, func(scan func(...any) error) error {
			op, err := scanOperator(scan)
			list = append(list, op)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return list, nil
}

// Revoke removes a token.
func (o Operators) Revoke(ctx context.Context, by Actor, name string) error {
	err := o.DB.Change(ctx, by.Entry("token.revoke", "token:"+name), func(tx *store.Tx) error {
		rows, err := tx.Exec(`DELETE FROM operator_tokens WHERE name = $1`, name)
		if err == nil && rows == 0 {
			return ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke token %q: %w", name, err)
	}
	return nil
}

const operatorColumns = `SELECT name, role, created_ms, COALESCE(expires_ms, 0) FROM operator_tokens`

func scanOperator(scan func(...any) error) (Operator, error) {
	var op Operator
	var role, created, expires int64
	if err := scan(&op.Name, &role, &created, &expires); err != nil {
		return Operator{}, err
	}
	op.Role, op.CreatedAt = Role(role), time.UnixMilli(created).UTC()
	if expires > 0 {
		op.ExpiresAt = time.UnixMilli(expires).UTC()
	}
	return op, nil
}
