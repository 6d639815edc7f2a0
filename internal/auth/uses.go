package auth

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/internal/store"
)

// useGrain is how exactly the last use of a token is known. A write for every
// request would cost more than the request.
const useGrain = time.Minute

// uses are the last uses of tokens, by name, that are not written yet. All
// methods of nil do nothing.
type uses struct {
	mu sync.Mutex
	at map[string]time.Time
}

// saw notes a use.
func (u *uses) saw(name string, at time.Time) {
	if u == nil {
		return
	}
	at = at.UTC().Truncate(useGrain)
	u.mu.Lock()
	defer u.mu.Unlock()
	if at.After(u.at[name]) {
		u.at[name] = at
	}
}

// last returns the last use that is not written yet, zero if there is none.
func (u *uses) last(name string) time.Time {
	if u == nil {
		return time.Time{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[name]
}

// take returns what waits to be written, and starts again from nothing.
func (u *uses) take() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	at := u.at
	u.at = map[string]time.Time{}
	return at
}

// WriteUses writes when tokens were used. A use changes nothing, so that it is
// no matter of the audit log; what was done with the token is there.
func (o Operators) WriteUses(ctx context.Context) error {
	if o.uses == nil {
		return nil
	}
	waiting := o.uses.take()
	if len(waiting) == 0 {
		return nil
	}
	err := o.DB.ChangeUnaudited(ctx, func(tx *store.Tx) error {
		for name, at := range waiting {
			_, err := tx.Exec(`UPDATE operator_tokens SET used_ms = $1 WHERE name = $2 AND used_ms < $1`, at.UnixMilli(), name)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for name, at := range waiting { // next time
			o.uses.saw(name, at)
		}
		return fmt.Errorf("write uses of tokens: %w", err)
	}
	return nil
}
