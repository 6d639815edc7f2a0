package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Waiting for a database that does not answer.
const (
	// Patience is how long a change waits for its turn, and then for each answer
	// of a server. Who comes later waits no more, until the database answers.
	Patience = 3 * time.Second
	// suspicion is how long a read waits for an answer before somebody looks
	// whether the server is still there. The read goes on: it may be a long one.
	suspicion = 500 * time.Millisecond
	// probeInterval is how often a database that is gone is looked for.
	probeInterval = 250 * time.Millisecond
)

// An OutageError refuses at once what would only have waited in vain, as
// something before it did. It wraps ErrBusy or ErrUnavailable.
type OutageError struct {
	Since time.Time // when the wait before it was given up
	Err   error     // why
}

// Error says since when.
func (e *OutageError) Error() string {
	return fmt.Sprintf("the database does not answer since %s: %v", e.Since.UTC().Format(time.RFC3339), e.Err)
}

// Unwrap returns why the wait before was given up.
func (e *OutageError) Unwrap() error { return e.Err }

// errHung means that a server took a question and gives no answer.
var errHung = fmt.Errorf("%w: no answer for %s", ErrUnavailable, Patience)

// A gate is shut while the database does not answer. Without it each of many
// callers would wait anew, one after the other, and those who are served from
// memory could be kept waiting by those who are not.
type gate struct {
	try func() error // does what the begin of a change does, for Patience at most

	mu      sync.Mutex
	outage  *OutageError            // nil: the gate is open
	reading context.Context         // of all reads; ended where the server gives no answers
	cut     context.CancelCauseFunc // ends it
	asking  bool                    // somebody who is suspicious tries
	closed  bool

	stopped chan struct{} // closed by close
	work    sync.WaitGroup
}

func newGate(try func() error) *gate {
	g := &gate{try: try, stopped: make(chan struct{})}
	g.reading, g.cut = context.WithCancelCause(context.Background())
	return g
}

// close ends the search for the database. Afterwards the gate is never shut.
func (g *gate) close() {
	g.mu.Lock()
	closing := !g.closed
	g.closed, g.outage = true, nil
	g.mu.Unlock()
	if closing {
		close(g.stopped)
	}
	g.work.Wait()
}

// refusal returns why no change is begun; nil: it is.
func (g *gate) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.outage == nil {
		return nil
	}
	return g.outage
}

// readable returns the context of reads. It has ended where they are in vain.
func (g *gate) readable() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reading
}

// shut refuses what follows, if err says that waiting is in vain, until the
// database answers again.
func (g *gate) shut(err error) {
	if !outage(err) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	since := time.Now()
	if g.outage != nil {
		since = g.outage.Since
	} else {
		g.work.Go(g.search)
	}
	g.outage = &OutageError{since, err}
	if timedOut(err) {
		g.cut(g.outage)
	} else { // only the turn to write is not to be had, or reads fail by themselves
		g.readAgain()
	}
}

// outage reports whether an error is one that passes by itself.
func outage(err error) bool { return errors.Is(err, ErrBusy) || errors.Is(err, ErrUnavailable) }

// readAgain lets reads in, where they were cut off.
func (g *gate) readAgain() {
	if g.reading.Err() != nil {
		g.reading, g.cut = context.WithCancelCause(context.Background())
	}
}

// search opens the gate once the database answers.
func (g *gate) search() {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-g.stopped:
			return
		case <-tick.C:
		}
		err := g.try()
		if !outage(err) { // it answers; whatever else is wrong, callers find out
			g.open()
			return
		}
		g.shut(err)
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.outage = nil
	g.readAgain()
}

// suspect looks whether the database answers, unless somebody does already.
func (g *gate) suspect() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.asking || g.outage != nil {
		return
	}
	g.asking = true
	g.work.Go(func() {
		err := g.try()
		g.mu.Lock()
		g.asking = false
		g.mu.Unlock()
		g.shut(err)
	})
}

// timedOut reports whether an error is of somebody who waited too long.
func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, errHung) || errors.Is(err, ErrUnavailable) && errors.As(err, &network) && network.Timeout()
}

// A watch calls a function if one answer of a server is late. A nil watch
// watches nothing.
type watch struct {
	patience time.Duration
	timer    *time.Timer
}

// newWatch returns a watch that does not run yet.
func newWatch(patience time.Duration, late func()) *watch {
	w := &watch{patience: patience, timer: time.AfterFunc(patience, late)}
	w.stop()
	return w
}

// start waits for an answer, from now on.
func (w *watch) start() {
	if w != nil {
		w.timer.Reset(w.patience)
	}
}

// stop is called with the answer, or instead of it.
func (w *watch) stop() {
	if w != nil {
		w.timer.Stop()
	}
}
