// Package s3 starts a real S3 server for tests: versitygw over a temporary
// directory, on a loopback port. It is built through the Go module proxy into
// the user's cache, and is no part of this module.
package s3
