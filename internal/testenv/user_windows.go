package testenv

import "testing"

// Unprivileged reports whether file modes bind this process. On Windows they
// bind nobody.
func Unprivileged(t *testing.T) bool {
	t.Helper()
	t.Skip("Windows has access lists instead of modes")
	return false
}
