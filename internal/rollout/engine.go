package rollout

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/periodic"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/repository"
)

// Intervals of the work in the background.
const (
	refreshInterval = 500 * time.Millisecond // how soon another server's change binds here
	tickInterval    = time.Second
)

// An Engine holds the rollouts of a server. It is safe for concurrent use.
type Engine struct {
	db    *store.DB
	repo  *repository.Repository
	fleet *fleet.Fleet
	now   func() time.Time
	log   *slog.Logger

	memory     atomic.Pointer[memory]
	adopting   sync.Mutex // over a replacement of memory
	refreshing sync.Mutex
	revision   int64 // of what was read; under refreshing

	counting sync.Mutex
	counted  map[string]*census // by id; under counting

	stop context.CancelFunc
	done sync.WaitGroup
}

var _ fleet.Rollouts = (*Engine)(nil)

// Open opens the fleet with the rollouts over it, and starts the work in the
// background, which Close stops.
func Open(ctx context.Context, cfg fleet.Config) (*Engine, error) {
	e, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open rollouts: %w", err)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	e.done.Go(func() { periodic.Run(background, refreshInterval, e.log, e.Refresh) })
	e.done.Go(func() { periodic.Run(background, tickInterval, e.log, e.Tick) })
	return e, nil
}

func open(ctx context.Context, cfg fleet.Config) (*Engine, error) {
	e := &Engine{db: cfg.Repository.Store(), repo: cfg.Repository, now: cfg.Now, log: cfg.Log, revision: -1, counted: map[string]*census{}}
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.memory.Store(&memory{byID: map[string]*active{}})
	// Before the fleet: no check may find a type that seems not to wait.
	if err := e.Refresh(ctx); err != nil {
		return nil, err
	}
	cfg.Rollouts = e
	devices, err := fleet.Open(ctx, cfg)
	e.fleet = devices
	return e, err
}

// Fleet returns the devices that the rollouts are for.
func (e *Engine) Fleet() *fleet.Fleet { return e.fleet }

// Close stops the work in the background and closes the fleet.
func (e *Engine) Close(ctx context.Context) error {
	e.stop()
	e.done.Wait()
	return e.fleet.Close(ctx)
}
