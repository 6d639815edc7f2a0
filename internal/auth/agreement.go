package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/store"
)

// ErrOtherSecret means that this replica was given another secret than the
// replicas that were there before.
var ErrOtherSecret = errors.New("not the one that the other replicas have: copy their directory secrets here")

// Agreement is what replicas know of each other's secrets: a fingerprint of
// each, in their database. The secrets are files, which whoever deploys a
// replica copies to it. With another fleet master it would refuse every device,
// and with another audit key its checkpoints would accuse the log.
type Agreement struct {
	DB *store.DB
}

// Fingerprint returns what may be known of a secret. It is keyed by the secret,
// which has at least 256 random bits, so that nobody finds it by trying.
func Fingerprint(name string, secret []byte) [sha256.Size]byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("secure-ota fingerprint of " + name))
	return [sha256.Size]byte(mac.Sum(nil))
}

// Agree holds the fingerprint of a secret against what stands in the database.
// The first replica that has the secret writes it there.
func (a Agreement) Agree(ctx context.Context, by Actor, name string, fingerprint [sha256.Size]byte) error {
	known, err := a.Known(ctx, name)
	if err == nil && known == nil {
		err = a.DB.Change(ctx, by.Entry("secret.add", "secret:"+name), func(tx *store.Tx) error {
			rows, err := tx.Exec(`INSERT INTO shared_secrets (name, fingerprint, added_ms) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`,
				name, fingerprint[:], tx.Now().UnixMilli())
			if err == nil && rows == 0 { // another replica was first
				return store.NoChange
			}
			return err
		})
		if err == nil {
			known, err = a.Known(ctx, name)
		}
	}
	if err != nil {
		return fmt.Errorf("compare %s with other replicas: %w", name, err)
	}
	if !hmac.Equal(known, fingerprint[:]) {
		return fmt.Errorf("%s: %w", name, ErrOtherSecret)
	}
	return nil
}

// Known returns the fingerprint of a secret that some replica has, nil if none
// has it.
func (a Agreement) Known(ctx context.Context, name string) (fingerprint []byte, err error) {
	err = a.DB.View(ctx, func(tx *store.Tx) error {
		return tx.Get(`SELECT fingerprint FROM shared_secrets WHERE name = $1`, []any{name}, &fingerprint)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return fingerprint, err
}
