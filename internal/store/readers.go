package store

import (
	"context"
	"sync"
)

// readers are the sessions that read, at most maxReaders at a time. The one
// that was used last is used next: each has a cache of its own, and what a
// moment of many readers needed is not filled again by one.
type readers struct {
	turns chan struct{} // holds one for each that reads

	mu   sync.Mutex
	idle []*session
}

func newReaders() *readers { return &readers{turns: make(chan struct{}, maxReaders)} }

// take returns a session for one reader, nil if one has to be connected.
func (r *readers) take(ctx context.Context) (*session, error) {
	select {
	case r.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.idle) - 1
	if last < 0 {
		return nil, nil
	}
	s := r.idle[last]
	r.idle = r.idle[:last]
	return s, nil
}

// give gives back what take returned, or was made of it; nil: it was lost.
func (r *readers) give(s *session) {
	if s != nil {
		r.mu.Lock()
		r.idle = append(r.idle, s)
		r.mu.Unlock()
	}
	<-r.turns
}

// closeIdle closes the sessions that nobody uses.
func (r *readers) closeIdle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.idle {
		s.close()
	}
	r.idle = nil
}

// close waits for those who read, and closes all sessions.
func (r *readers) close() {
	for range maxReaders {
		r.turns <- struct{}{}
	}
	r.closeIdle()
	for range maxReaders {
		<-r.turns // who reads all the same is refused, and does not wait
	}
}
