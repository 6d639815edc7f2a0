package auth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

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

// An Operator is a token's owner.
type Operator struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
	Scope
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
	RotatedAt time.Time `json:"rotated_at,omitzero"` // when the secret was last replaced; zero: never
	UsedAt    time.Time `json:"used_at,omitzero"`    // to the minute; zero: never
}

// Actor returns the operator as who does something from an address.
func (o Operator) Actor(address string) Actor {
	return Actor{Name: "token:" + o.Name, Role: o.Role, Address: address, Scope: o.Scope}
}

// The life of a token.
const (
	DefaultTokenLife               = 90 * 24 * time.Hour
	Forever          time.Duration = math.MaxInt64
)

// NewOperator asks for a token.
type NewOperator struct {
	Name  string        // a name as in package manifest, unique
	Role  Role          // Viewer or more
	Scope Scope         // what narrows the role
	Valid time.Duration // 0: DefaultTokenLife; Forever: until it is revoked
}

// Operators are the operators' tokens in the store.
type Operators struct {
	DB   *store.DB
	uses *uses // nil: not noted
}

// OpenOperators returns the tokens of a server, which notes when they are used;
// call WriteUses now and then.
func OpenOperators(db *store.DB) Operators {
	return Operators{DB: db, uses: &uses{at: map[string]time.Time{}}}
}

// Add makes a token.
func (o Operators) Add(ctx context.Context, by Actor, n NewOperator) (Token, error) {
	if err := manifest.CheckName(n.Name); err != nil {
		return "", fmt.Errorf("add token: %w: %v", ErrInvalid, err)
	}
	if n.Role < Viewer || n.Role > Administrator || n.Valid < 0 {
		return "", fmt.Errorf("add token %s: %w: role %s, valid for %s", n.Name, ErrInvalid, n.Role, n.Valid)
	}
	if err := n.Scope.Validate(); err != nil {
		return "", fmt.Errorf("add token %s: %w: %v", n.Name, ErrInvalid, err)
	}
	if n.Valid == 0 {
		n.Valid = DefaultTokenLife
	}
	scope, err := encodeScope(n.Scope)
	if err != nil {
		return "", fmt.Errorf("add token %s: %w", n.Name, err)
	}
	token := NewToken(OperatorPrefix)
	hash := token.Hash()
	err = o.DB.Change(ctx, by.Entry("token.add", "token:"+n.Name), func(tx *store.Tx) error {
		op := Operator{Name: n.Name, Role: n.Role, Scope: n.Scope, CreatedAt: tx.Now()}
		var expires any
		if n.Valid != Forever {
			op.ExpiresAt = op.CreatedAt.Add(n.Valid)
			expires = op.ExpiresAt.UnixMilli()
		}
		tx.Audit().After = audit.JSON(op)
		rows, err := tx.Exec(`INSERT INTO operator_tokens (name, hash, role, created_ms, created_by, expires_ms, scope)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING`,
			op.Name, hash[:], int64(op.Role), op.CreatedAt.UnixMilli(), by.Name, expires, scope)
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
	now := o.DB.Now()
	if !op.ExpiresAt.IsZero() && !now.Before(op.ExpiresAt) {
		return Operator{}, ErrUnauthorized
	}
	o.uses.saw(op.Name, now)
	return op, nil
}

// List returns the operators by name.
func (o Operators) List(ctx context.Context) ([]Operator, error) {
	list := []Operator{}
	err := o.DB.View(ctx, func(tx *store.Tx) error {
		return tx.Each(operatorColumns+` ORDER BY name`, nil, func(scan func(...any) error) error {
			op, err := scanOperator(scan)
			if last := o.uses.last(op.Name); last.After(op.UsedAt) {
				op.UsedAt = last
			}
			list = append(list, op)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return list, nil
}

// Revoke removes a token, or ends the sessions of a person whom an identity
// provider let in, whose name here is oidc:NAME. He has none until he logs in
// again, which is the provider's affair.
func (o Operators) Revoke(ctx context.Context, by Actor, name string) error {
	if person, ok := strings.CutPrefix(name, personPrefix); ok {
		return Sessions{Operators: o}.revoke(ctx, by, person)
	}
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

const operatorColumns = `SELECT name, role, scope, created_ms, COALESCE(expires_ms, 0), rotated_ms, used_ms FROM operator_tokens`

func scanOperator(scan func(...any) error) (Operator, error) {
	var op Operator
	var scope string
	var role, created, expires, rotated, used int64
	if err := scan(&op.Name, &role, &scope, &created, &expires, &rotated, &used); err != nil {
		return Operator{}, err
	}
	if scope != "" { // one that cannot be read is no reason to narrow nothing
		if err := json.Unmarshal([]byte(scope), &op.Scope, json.RejectUnknownMembers(true)); err != nil {
			return Operator{}, fmt.Errorf("scope of token %s: %w", op.Name, err)
		}
	}
	op.Role, op.CreatedAt = Role(role), time.UnixMilli(created).UTC()
	op.ExpiresAt, op.RotatedAt, op.UsedAt = momentOf(expires), momentOf(rotated), momentOf(used)
	return op, nil
}

// encodeScope returns what is stored of a scope, nothing if it narrows nothing.
func encodeScope(s Scope) (string, error) {
	if s.IsZero() {
		return "", nil
	}
	raw, err := json.Marshal(s)
	return string(raw), err
}

func momentOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
