package store

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync"
	"time"
)

// calm is how long a failed attempt to connect stands for those that follow, a little less than the time
// between two looks for the server. Without it, each of many who wait for one that is gone would wait anew
// for its own attempt to fail.
const calm = probeInterval * 4 / 5

// calmConnector remembers failures for the pools that share it.
type calmConnector struct {
	now func() time.Time

	mu     sync.Mutex
	failed error
	until  time.Time
}

// of returns a connector that attempts no connection shortly after one failed.
func (c *calmConnector) of(inner driver.Connector) driver.Connector {
	return &calmedConnector{Connector: inner, calm: c}
}

type calmedConnector struct {
	driver.Connector
	calm *calmConnector
}

func (c *calmedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.calm.standing(); err != nil {
		return nil, err
	}
	conn, err := c.Connector.Connect(ctx)
	if err == nil {
		return conn, nil
	}
	err = oneLine{err}
	if ctx.Err() == nil { // else it is the caller who gave up
		c.calm.note(err)
	}
	return nil, err
}

// oneLine is an error whose words, one line for each address that was tried,
// stand on one.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }
func (e oneLine) Unwrap() error { return e.error }

func (c *calmConnector) standing() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Before(c.until) {
		return c.failed
	}
	return nil
}

func (c *calmConnector) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed, c.until = err, c.now().Add(calm)
}
