//go:build unix

package postgres

import (
	"sync"
	"testing"
)

// shared is the server of this test process.
var shared struct {
	sync.Mutex
	*Server
}

// Database makes an empty database on a server that all tests of this process
// share, and returns its location. Where PostgreSQL is missing, the test is
// skipped, and in CI it fails.
func Database(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.Server == nil {
		shared.Server = newServer(t, true)
	}
	return shared.Database(t)
}
