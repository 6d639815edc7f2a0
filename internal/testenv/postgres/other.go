//go:build !unix

package postgres

import "testing"

// Database skips the test: only Debian's PostgreSQL is started by tests.
func Database(t testing.TB) string {
	t.Helper()
	t.Skip("PostgreSQL is tested on Unix")
	return ""
}
