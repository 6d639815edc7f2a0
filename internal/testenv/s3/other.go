//go:build !unix

package s3

import "testing"

// Bucket skips the test: the server needs a Unix file system.
func Bucket(t testing.TB) string {
	t.Helper()
	t.Skip("the S3 server is started on Unix")
	return ""
}
