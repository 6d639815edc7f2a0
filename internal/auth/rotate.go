package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
)

// Rotate replaces the secret of a token, which ends the old one at once. A
// token that expires is good for as long as it was, from now on, even if it had
// expired: whoever rotates it may as well have made another.
func (o Operators) Rotate(ctx context.Context, by Actor, name string) (Token, error) {
	token := NewToken(OperatorPrefix)
	hash := token.Hash()
	err := o.DB.Change(ctx, by.Entry("token.rotate", "token:"+name), func(tx *store.Tx) error {
		op, err := scanOperator(func(dest ...any) error {
			return tx.Get(operatorColumns+` WHERE name = $1`, []any{name}, dest...)
		})
		if errors.Is(err, store.ErrNotFound) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		tx.Audit().Before = audit.JSON(op)
		from := op.CreatedAt
		if !op.RotatedAt.IsZero() {
			from = op.RotatedAt
		}
		life := op.ExpiresAt.Sub(from)
		op.RotatedAt = tx.Now()
		var expires any
		if !op.ExpiresAt.IsZero() {
			op.ExpiresAt = op.RotatedAt.Add(life)
			expires = op.ExpiresAt.UnixMilli()
		}
		tx.Audit().After = audit.JSON(op)
		_, err = tx.Exec(`UPDATE operator_tokens SET hash = $1, expires_ms = $2, rotated_ms = $3 WHERE name = $4`,
			hash[:], expires, op.RotatedAt.UnixMilli(), name)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("rotate token %q: %w", name, err)
	}
	return token, nil
}
