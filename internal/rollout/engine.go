package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/repository"
)

// An Engine holds the rollouts of a server. It is safe for concurrent use.
type Engine struct {
	db    *store.DB
	repo  *repository.Repository
	fleet *fleet.Fleet
	now   func() time.Time
}

// Open opens the fleet with the rollouts over it, and starts the work in the
// background, which Close stops.
func Open(ctx context.Context, cfg fleet.Config) (*Engine, error) {
	e := &Engine{db: cfg.Repository.Store(), repo: cfg.Repository, now: cfg.Now}
	if e.now == nil {
		e.now = time.Now
	}
	devices, err := fleet.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open rollouts: %w", err)
	}
	e.fleet = devices
	return e, nil
}

// Fleet returns the devices that the rollouts are for.
func (e *Engine) Fleet() *fleet.Fleet { return e.fleet }

// Close stops the work in the background and closes the fleet.
func (e *Engine) Close(ctx context.Context) error { return e.fleet.Close(ctx) }
