package rollout

import (
	"context"

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

// Position is position.
var Position = position
