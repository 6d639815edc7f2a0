package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/secure-ota/secure-ota/manifest"
)

// A cache keeps copies of blobs on the local disk, verified when they were
// made, and removes those that were not used for the longest time when the room
// is needed.
type cache struct {
	dir   *Dir
	limit int64 // bytes
	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu      sync.Mutex
	held    map[manifest.Digest]*cachedCopy
	filling map[manifest.Digest]*filling
	used    int64 // bytes of held, and of those on their way
}

type cachedCopy struct {
	size int64
	used time.Time
}

// A filling is a copy on its way.
type filling struct {
	done chan struct{}
	err  error // valid once done is closed
}

// openCache takes over what an earlier process left.
func openCache(dir *Dir, limit int64) (*cache, error) {
	ctx, stop := context.WithCancel(context.Background())
	c := &cache{dir: dir, limit: limit, ctx: ctx, stop: stop, held: map[manifest.Digest]*cachedCopy{}, filling: map[manifest.Digest]*filling{}}
	if _, err := dir.Expire(time.Now()); err != nil { // of a copy that broke off
		return nil, err
	}
	for item, err := range dir.Items() {
		if err != nil {
			return nil, err
		}
		if item.Kind == KindBlob {
			c.held[item.Digest] = &cachedCopy{item.Size, item.ModTime}
			c.used += item.Size
		}
	}
	return c, c.makeRoom(0)
}

func (c *cache) close() {
	c.stop()
	c.work.Wait()
}

func (c *cache) open(digest manifest.Digest) (io.ReadSeekCloser, int64, error) {
	f, size, err := c.dir.Open(digest)
	if err != nil {
		return nil, 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.held[digest]; held != nil {
		held.used = time.Now()
	}
	return f, size, nil
}

// fill begins to copy a blob, or joins who does already.
func (c *cache) fill(digest manifest.Digest, fetch func(context.Context) (io.ReadCloser, int64, error)) *filling {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.filling[digest]; f != nil {
		return f
	}
	f := &filling{done: make(chan struct{})}
	c.filling[digest] = f
	c.work.Go(func() {
		f.err = c.copy(digest, fetch)
		c.mu.Lock()
		delete(c.filling, digest)
		c.mu.Unlock()
		close(f.done)
	})
	return f
}

func (c *cache) copy(digest manifest.Digest, fetch func(context.Context) (io.ReadCloser, int64, error)) error {
	object, size, err := fetch(c.ctx)
	if err != nil {
		return err
	}
	defer object.Close()
	if err := c.makeRoom(size); err != nil {
		return err
	}
	_, err = c.dir.Put(c.ctx, digest, size, object)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || c.held[digest] != nil {
		c.used -= size // what makeRoom set aside
		return explainS3(err)
	}
	c.held[digest] = &cachedCopy{size, time.Now()}
	return nil
}

// makeRoom sets size bytes aside, and removes what was not used for the longest
// time until they fit.
func (c *cache) makeRoom(size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.limit {
		return fmt.Errorf("%w: %d bytes do not fit into a cache of %d", ErrFull, size, c.limit)
	}
	for c.used+size > c.limit {
		oldest, ok := c.oldest()
		if !ok {
			return fmt.Errorf("%w: copies on their way fill the cache", ErrFull)
		}
		if err := c.remove(oldest); err != nil {
			return err
		}
	}
	c.used += size
	return nil
}

func (c *cache) oldest() (digest manifest.Digest, ok bool) {
	for candidate, held := range c.held {
		if !ok || held.used.Before(c.held[digest].used) {
			digest, ok = candidate, true
		}
	}
	return digest, ok
}

// verify reads a copy, and removes one that has rotted, also of another process
// on the same directory: that one makes a new copy when it finds none.
func (c *cache) verify(ctx context.Context, digest manifest.Digest) {
	_, err := c.dir.Verify(ctx, digest)
	if !errors.Is(err, ErrDigest) && !errors.Is(err, ErrSize) {
		return
	}
	c.forget(digest)
	c.dir.Remove(digest) // what is gone is gone
}

// forget removes a copy.
func (c *cache) forget(digest manifest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[digest] != nil {
		c.remove(digest) // else it goes when its room is needed
	}
}

func (c *cache) remove(digest manifest.Digest) error {
	err := c.dir.Remove(digest)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	c.used -= c.held[digest].size
	delete(c.held, digest)
	return nil
}
