package rollout

import (
	"context"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// OpenStill is Open without the work in the background, for tests that say
// themselves when time passes.
func OpenStill(ctx context.Context, cfg fleet.Config) (*Engine, error) {
	e, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	e.stop = func() {}
	return e, nil
}

// Forget makes the next census a new one.
func (e *Engine) Forget() {
	e.counting.Lock()
	defer e.counting.Unlock()
	clear(e.counted)
}

// Order is Act on a server that dies right after the commit.
func (e *Engine) Order(ctx context.Context, by auth.Actor, name string, action Action, why string) error {
	before, err := e.Show(ctx, name)
	if err != nil {
		return err
	}
	return e.order(ctx, by, before, action, why)
}

// Position is position.
var Position = position
