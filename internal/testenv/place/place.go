// Package place says where tests keep what they store: below their directory
// or, with OTA_TEST_STORE=shared in the environment, in PostgreSQL and S3. So
// the suites of other packages run on both.
package place

import (
	"os"
	"sync"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
	"github.com/secure-ota/secure-ota/internal/testenv/s3"
)

// variable asks for the shared kind.
const variable = "OTA_TEST_STORE"

// Shared reports whether tests are to use PostgreSQL and S3.
func Shared() bool { return os.Getenv(variable) == "shared" }

var places = struct {
	sync.Mutex
	of map[string]place
}{of: map[string]place{}}

type place struct{ database, blobs string }

// Of returns the locations of database and images for a data directory: the
// same for the same directory, as after a restart. Empty is below the
// directory.
func Of(t testing.TB, dir string) (database, blobs string) {
	t.Helper()
	if !Shared() {
		return "", ""
	}
	places.Lock()
	defer places.Unlock()
	p, ok := places.of[dir]
	if !ok {
		p = place{postgres.Database(t), s3.Bucket(t)}
		places.of[dir] = p
	}
	return p.database, p.blobs
}

// OnFiles skips a test that reaches behind what it tests, into the files of a
// data directory, where there are none.
func OnFiles(t testing.TB) {
	t.Helper()
	if Shared() {
		t.Skip("looks into the files of a data directory")
	}
}
