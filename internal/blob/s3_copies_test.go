//go:build unix

package blob_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/testenv/s3"
)

// Many devices that want more images than there is room for copies push each
// other's copies out, and all of them get their image.
func TestCopiesThatPushEachOtherOutAreNoMissingImage(t *testing.T) {
	t.Parallel()
	s := openS3(t, s3.Bucket(t)+"&cache_mib=1", blob.S3Config{Cache: t.TempDir()})
	const images, devices, rounds = 6, 48, 100
	var work sync.WaitGroup
	for i := range images {
		data, digest := large(t, 600_000+i)
		if _, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		for range devices / images {
			work.Go(func() {
				for range rounds {
					f, _, err := s.Open(digest)
					if err != nil {
						t.Errorf("an image that is there: %v", err)
						return
					}
					f.Close()
				}
			})
		}
	}
	work.Wait()
}

// Whoever looks whether an image is sound finds a copy that has rotted, and
// removes it: devices are not given it for ever.
func TestACopyThatRottedGoesWhenTheImageIsVerified(t *testing.T) {
	t.Parallel()
	location, cache := s3.Bucket(t), t.TempDir()
	s := openS3(t, location, blob.S3Config{Cache: cache})
	data, digest := large(t, 100_000)
	if _, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	for what, verifier := range map[string]*blob.S3{"here": s, "another process": openS3(t, location, blob.S3Config{Cache: cache})} {
		wantBlob(t, s, data, digest) // which makes a copy
		name := filepath.Join(cache, "sha256", digest.String())
		if err := os.WriteFile(name, bytes.Repeat([]byte("x"), len(data)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Verify(t.Context(), digest); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		wantBlob(t, s, data, digest)
	}
}
