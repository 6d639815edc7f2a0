package protocol

import (
	"container/list"
	"sync"
	"time"
)

// Recent remembers the keys, such as addresses, that were noted not long ago,
// at most MaxLimited of them: the one not noted for longest is forgotten first.
// It is safe for concurrent use.
type Recent[K comparable] struct {
	life time.Duration

	mu    sync.Mutex
	byKey map[K]*list.Element
	order *list.List // of *noted[K], the most recent first
}

type noted[K comparable] struct {
	key K
	at  time.Time
}

// NewRecent remembers keys for so long.
func NewRecent[K comparable](life time.Duration) *Recent[K] {
	return &Recent[K]{life: life, byKey: map[K]*list.Element{}, order: list.New()}
}

// Note remembers a key from now on.
func (r *Recent[K]) Note(key K, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.byKey[key]; ok {
		e.Value.(*noted[K]).at = now
		r.order.MoveToFront(e)
		return
	}
	if r.order.Len() >= MaxLimited {
		oldest := r.order.Remove(r.order.Back()).(*noted[K])
		delete(r.byKey, oldest.key)
	}
	r.byKey[key] = r.order.PushFront(&noted[K]{key, now})
}

// Has reports whether a key was noted within the life.
func (r *Recent[K]) Has(key K, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.byKey[key]
	return ok && now.Sub(e.Value.(*noted[K]).at) < r.life
}
