//go:build unix

package blob_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/blob/blobtest"
	"github.com/secure-ota/secure-ota/internal/testenv/s3"
	"github.com/secure-ota/secure-ota/manifest"
)

func openS3(t testing.TB, location string, cfg blob.S3Config) *blob.S3 {
	t.Helper()
	s, err := blob.OpenS3(t.Context(), location, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestS3(t *testing.T) {
	type place struct{ location, cache string }
	places := map[string]place{}
	blobtest.Run(t, func(t *testing.T) blobtest.Store {
		p, ok := places[t.Name()]
		if !ok {
			p = place{s3.Bucket(t), t.TempDir()}
			places[t.Name()] = p
		}
		return openS3(t, p.location, blob.S3Config{Cache: p.cache})
	})
}

// large returns firmware of several parts, with no two alike.
func large(t testing.TB, size int) ([]byte, manifest.Digest) {
	t.Helper()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(data)
	return data, sha256.Sum256(data)
}

func wantBlob(t testing.TB, s *blob.S3, data []byte, digest manifest.Digest) {
	t.Helper()
	f, size, err := s.Open(digest)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || size != int64(len(data)) || !bytes.Equal(got, data) {
		t.Errorf("read %d of %d bytes, %v", len(got), size, err)
	}
	if sums, err := s.Verify(t.Context(), digest); err != nil || sums.MD5 != md5.Sum(data) || sums.SHA1 != sha1.Sum(data) {
		t.Errorf("%+v, %v", sums, err)
	}
}

func wantItems(t testing.TB, s *blob.S3, want map[blob.Kind]int) {
	t.Helper()
	got := map[blob.Kind]int{}
	for item, err := range s.Items() {
		if err != nil {
			t.Fatal(err)
		}
		got[item.Kind]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
}

func TestAnUploadGoesFromOneReplicaToTheOther(t *testing.T) {
	location := s3.Bucket(t)
	replicas := []*blob.S3{openS3(t, location, blob.S3Config{}), openS3(t, location, blob.S3Config{Cache: t.TempDir()})}
	data, digest := large(t, 13<<20)
	size := int64(len(data))
	if _, err := replicas[0].Upload(t.Context(), digest, size); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("line went dead")
	ends := []int64{1, 3 << 20, 5 << 20, 5<<20 + 1, 11 << 20, size}
	at := int64(0)
	for i, end := range ends {
		s := replicas[i%2]
		state, err := s.Upload(t.Context(), digest, size)
		if err != nil || state.Offset != at {
			t.Fatalf("%+v, %v; want byte %d", state, err, at)
		}
		at, err = s.Append(t.Context(), digest, at, io.MultiReader(bytes.NewReader(data[at:end]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || at != end {
			t.Fatalf("ends at %d, %v; want %d", at, err, end)
		}
		wantItems(t, s, map[blob.Kind]int{blob.KindUpload: 1})
	}
	if _, err := replicas[0].Finish(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	for _, s := range replicas {
		wantBlob(t, s, data, digest)
		wantItems(t, s, map[blob.Kind]int{blob.KindBlob: 1})
	}
}

func TestAWrongImageOfManyPartsLeavesNoPart(t *testing.T) {
	s := openS3(t, s3.Bucket(t), blob.S3Config{})
	data, digest := large(t, 12<<20)
	wrong := bytes.Clone(data)
	wrong[7]++
	for name, r := range map[string]io.Reader{
		"other bytes": bytes.NewReader(wrong), "too short": bytes.NewReader(data[:11<<20]), "too long": io.MultiReader(bytes.NewReader(data), strings.NewReader("x")),
		"broken off": io.MultiReader(bytes.NewReader(data[:11<<20]), iotest.ErrReader(errors.New("dead"))),
	} {
		if _, err := s.Put(t.Context(), digest, int64(len(data)), r); err == nil {
			t.Errorf("%s: stored", name)
		}
		wantItems(t, s, map[blob.Kind]int{})
	}
	if _, err := s.Upload(t.Context(), digest, int64(len(data))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), digest, 0, bytes.NewReader(wrong)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(t.Context(), digest); !errors.Is(err, blob.ErrDigest) {
		t.Error(err)
	}
	wantItems(t, s, map[blob.Kind]int{})
	if _, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, data, digest)
}

// Without claims, as when a claim is lost: two replicas add to one upload, and
// one of them brings other bytes. Whatever comes of it, no wrong blob does.
func TestReplicasThatDisturbEachOtherMakeNoWrongBlob(t *testing.T) {
	location := s3.Bucket(t)
	left, right := openS3(t, location, blob.S3Config{}), openS3(t, location, blob.S3Config{})
	data, digest := large(t, 12<<20)
	size := int64(len(data))
	if _, err := left.Upload(t.Context(), digest, size); err != nil {
		t.Fatal(err)
	}
	if _, err := left.Append(t.Context(), digest, 0, bytes.NewReader(data[:6<<20])); err != nil {
		t.Fatal(err)
	}
	// The right one begins where the left one stands, and is overtaken.
	other := readerFunc(func() {
		if _, err := left.Append(t.Context(), digest, 6<<20, bytes.NewReader(data[6<<20:])); err != nil {
			t.Error(err)
		}
	})
	right.Append(t.Context(), digest, 6<<20, io.MultiReader(other, bytes.NewReader(make([]byte, 5<<20))))
	_, err := left.Finish(t.Context(), digest)
	if err == nil {
		wantBlob(t, left, data, digest)
		return
	}
	if _, err := left.Stat(digest); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("something is visible: %v", err)
	}
	if _, err := left.Put(t.Context(), digest, size, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, right, data, digest)
}

// readerFunc is an empty reader that does something when it is read.
type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestWhatThereAreCopiesOfIsReadWhileTheStoreIsGone(t *testing.T) {
	server := s3.Start(t)
	location, cache := server.Bucket(t), t.TempDir()
	s := openS3(t, location, blob.S3Config{Cache: cache})
	data, digest := large(t, 6<<20)
	other, otherDigest := large(t, 1000)
	for _, image := range [][]byte{data, other} {
		if _, err := s.Put(t.Context(), sha256.Sum256(image), int64(len(image)), bytes.NewReader(image)); err != nil {
			t.Fatal(err)
		}
	}
	wantBlob(t, s, data, digest)
	server.Stop()
	gone := func(s *blob.S3) {
		t.Helper()
		f, _, err := s.Open(digest)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, ok := f.(*os.File); !ok {
			t.Errorf("%T: sendfile needs an *os.File", f)
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		for name, do := range map[string]func() error{
			"open":   func() error { _, _, err := s.Open(otherDigest); return err },
			"stat":   func() error { _, err := s.Stat(otherDigest); return err },
			"upload": func() error { _, err := s.Upload(t.Context(), manifest.Digest{1}, 10); return err },
		} {
			start := time.Now()
			if err := do(); !errors.Is(err, blob.ErrUnavailable) || strings.Contains(err.Error(), s3.SecretKey) {
				t.Errorf("%s: %v, want ErrUnavailable", name, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s took %s", name, took)
			}
		}
	}
	gone(s)
	gone(openS3(t, location, blob.S3Config{Cache: cache})) // started meanwhile
	server.Restart(t)
	wantBlob(t, s, other, otherDigest)
}

func TestCopiesTakeNoMoreThanTheirRoom(t *testing.T) {
	location, cache := s3.Bucket(t)+"&cache_mib=1", t.TempDir()
	s := openS3(t, location, blob.S3Config{Cache: cache})
	copies := func() (bytes int64, names map[string]bool) {
		names = map[string]bool{}
		entries, err := os.ReadDir(filepath.Join(cache, "sha256"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			names[e.Name()] = true
			bytes += info.Size()
		}
		return bytes, names
	}
	var digests []manifest.Digest
	for i := range 5 {
		data, digest := large(t, 300_000+i)
		if _, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		wantBlob(t, s, data, digest)
		if i > 0 {
			wantBlob(t, s, firstOf(large(t, 300_000)), digests[0]) // stays in use
		}
		digests = append(digests, digest)
		if used, _ := copies(); used > 1<<20 {
			t.Errorf("%d bytes of copies", used)
		}
	}
	if _, names := copies(); !names[digests[0].String()] || names[digests[1].String()] || !names[digests[4].String()] {
		t.Errorf("there are copies of %v of %v", names, digests)
	}
	data, digest := large(t, 2<<20) // which no room would be enough for
	if _, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, data, digest)
	f, _, err := s.Open(digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(1<<20, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data[1<<20:]) {
		t.Errorf("from the middle: %d bytes, %v", len(got), err)
	}
}

func firstOf[A, B any](a A, _ B) A { return a }

// claimsOfOne are claims that another process may hold.
type claimsOfOne struct {
	elsewhere bool
	released  int
}

func (c *claimsOfOne) Claim(context.Context, manifest.Digest) (func(), error) {
	if c.elsewhere {
		return nil, blob.ErrBusy
	}
	return func() { c.released++ }, nil
}

func (c *claimsOfOne) Close() error { return nil }

func TestAClaimThatAnotherReplicaHoldsIsBusy(t *testing.T) {
	claims := &claimsOfOne{}
	s := openS3(t, s3.Bucket(t), blob.S3Config{Claims: claims})
	if _, err := s.Upload(t.Context(), manifest.Digest{1}, 10); err != nil || claims.released != 1 {
		t.Errorf("%v, %d claims released", err, claims.released)
	}
	claims.elsewhere = true
	if _, err := s.Append(t.Context(), manifest.Digest{1}, 0, strings.NewReader("x")); !errors.Is(err, blob.ErrBusy) || claims.released != 1 {
		t.Errorf("%v, %d claims released", err, claims.released)
	}
}

func TestExpireDiscardsWhatWasAbandonedInTheStore(t *testing.T) {
	location := s3.Bucket(t)
	s := openS3(t, location, blob.S3Config{})
	data, digest := large(t, 11<<20)
	if _, err := s.Upload(t.Context(), digest, int64(len(data))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), digest, 0, bytes.NewReader(data[:6<<20])); err != nil {
		t.Fatal(err)
	}
	// Of a process that died in a Put, the parts stay.
	dying, die := context.WithCancel(t.Context())
	_, orphan := large(t, 12<<20)
	stopped := make(chan struct{})
	hang := readerFunc(func() { die(); close(stopped); <-t.Context().Done() })
	go s.Put(dying, orphan, 12<<20, io.MultiReader(bytes.NewReader(make([]byte, 6<<20)), hang))
	<-stopped
	wantItems(t, s, map[blob.Kind]int{blob.KindUpload: 1, blob.KindLeftover: 1})
	if n, err := s.Expire(time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := s.Expire(time.Now().Add(time.Hour)); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	wantItems(t, s, map[blob.Kind]int{})
}

func TestAnObjectThatRottedIsNotHandedOut(t *testing.T) {
	server := s3.Start(t)
	s := openS3(t, server.Bucket(t), blob.S3Config{Cache: t.TempDir()})
	data, digest := large(t, 1000)
	if _, err := s.Put(t.Context(), digest, 1000, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(server.Directory(), "*", "some", "prefix", "sha256", digest.String()))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	data[3]++
	if err := os.WriteFile(found[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Open(digest); !errors.Is(err, blob.ErrDigest) {
		t.Errorf("open: %v", err)
	}
	if _, err := s.Verify(t.Context(), digest); !errors.Is(err, blob.ErrDigest) {
		t.Errorf("verify: %v", err)
	}
}

func TestOpenS3SaysWhatIsWrong(t *testing.T) {
	location := s3.Bucket(t)
	for wrong, want := range map[string]string{
		"s3://": "want s3://BUCKET", "s3://b?colour=red": `"colour" is not known`, "s3://b?endpoint=host": "endpoint", "s3://key:" + s3.SecretKey + "@b": "credentials do not belong there", "s3://key:a/" + s3.SecretKey + "@b": "credentials do not belong there",
		"s3://b?cache_mib=-1": "cache_mib", strings.Replace(location, "s3://", "s3://not-", 1): "does not exist",
		location + "&credentials=/nonexistent": "",
	} {
		_, err := blob.OpenS3(t.Context(), wrong, blob.S3Config{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), s3.SecretKey) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	if _, err := blob.OpenS3(t.Context(), location, blob.S3Config{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a wrong key: %v", err)
	}
}

// A part that cannot be sent takes nothing with it: what was acknowledged is
// there, and the upload goes on behind it.
func TestAPartThatIsNotSentLosesNothing(t *testing.T) {
	t.Parallel()
	s := openS3(t, s3.Bucket(t), blob.S3Config{})
	data, digest := large(t, 25<<20)
	if _, err := s.Upload(t.Context(), digest, int64(len(data))); err != nil {
		t.Fatal(err)
	}
	acknowledged, err := s.Append(t.Context(), digest, 0, bytes.NewReader(data[:12<<20]))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	acknowledged, err = s.Append(ctx, digest, acknowledged, &fillsAPart{bytes.NewReader(data[acknowledged:]), cancel, 3 << 20})
	if err == nil {
		t.Fatal("the part was sent")
	}
	state, err := s.Upload(t.Context(), digest, int64(len(data)))
	if err != nil || state.Offset != acknowledged {
		t.Fatalf("acknowledged are %d bytes, there are %d, %v", acknowledged, state.Offset, err)
	}
	if _, err := s.Append(t.Context(), digest, state.Offset, bytes.NewReader(data[state.Offset:])); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(t.Context(), digest); err != nil {
		t.Error(err)
	}
}

// fillsAPart ends the request with the byte that fills a part.
type fillsAPart struct {
	r      io.Reader
	cancel func()
	left   int
}

// Read implements io.Reader.
func (f *fillsAPart) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.left -= n; f.left <= 0 {
		f.cancel()
	}
	return n, err
}
