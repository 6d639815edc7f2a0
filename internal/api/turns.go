package api

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// maxWaiting is how many costly questions of one actor wait for the one that is
// being answered. An operator with many pages open needs a few.
const maxWaiting = 64

// turns lets each actor have one costly question about the same thing at a
// time: what passes over the whole fleet or the whole audit log keeps a core
// busy for a good part of a second, or longer. Otherwise one viewer could ask
// until nobody else is answered.
type turns struct {
	mu    sync.Mutex
	queue map[queueOf]*turn
}

// queueOf names a queue.
type queueOf struct{ actor, about string }

// turn is the place at the head of an actor's queue.
type turn struct {
	taken chan struct{} // holds one while a question is answered
	asked int           // that is answered or waits
}

// take waits for the actor's turn to ask about something, and returns what ends
// it.
func (t *turns) take(ctx context.Context, actor auth.Actor, about string) (end func(), err error) {
	t.mu.Lock()
	of := queueOf{actor.Name, about}
	q := t.queue[of]
	if q == nil {
		q = &turn{taken: make(chan struct{}, 1)}
		t.queue[of] = q
	}
	if q.asked > maxWaiting {
		t.mu.Unlock()
		return nil, fmt.Errorf("%s asks too much about the %s at once: %w: %w", actor.Name, about, ErrTooMany, &fleet.RateError{Wait: time.Second})
	}
	q.asked++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if q.asked--; q.asked == 0 {
			delete(t.queue, of)
		}
	}
	select {
	case q.taken <- struct{}{}:
		return func() { <-q.taken; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
