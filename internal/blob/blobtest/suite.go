// Package blobtest says, in tests, what a place for blobs must do. Every
// implementation runs the suite.
package blobtest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/manifest"
)

// A Store is a place for blobs.
type Store interface {
	Put(ctx context.Context, digest manifest.Digest, size int64, r io.Reader) (blob.Sums, error)
	Upload(ctx context.Context, digest manifest.Digest, size int64) (blob.State, error)
	Append(ctx context.Context, digest manifest.Digest, offset int64, r io.Reader) (end int64, err error)
	Finish(ctx context.Context, digest manifest.Digest) (blob.Sums, error)
	Abort(digest manifest.Digest) error
	Open(digest manifest.Digest) (io.ReadSeekCloser, int64, error)
	Stat(digest manifest.Digest) (size int64, err error)
	Verify(ctx context.Context, digest manifest.Digest) (blob.Sums, error)
	Remove(digest manifest.Digest) error
	Items() iter.Seq2[blob.Item, error]
	Close() error
}

// image returns size bytes, different for each seed, and their digest.
func image(seed byte, size int) ([]byte, manifest.Digest) {
	data := bytes.Repeat([]byte{seed, seed ^ 0x55, 7}, size/3+1)[:size]
	return data, sha256.Sum256(data)
}

// Run runs the suite. open opens a store that is empty at first; when called
// again in the same test after Close, it opens the same one, as after a
// restart.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, func(*testing.T) Store){
		"what is put can be read":                          putAndRead,
		"a wrong image leaves nothing":                     wrongImages,
		"a broken stream leaves nothing":                   brokenStream,
		"an upload continues where it broke off":           resume,
		"an upload continues after a restart":              restart,
		"a wrong offset is refused with the right one":     wrongOffset,
		"an upload with wrong bytes is discarded":          wrongUpload,
		"an upload cannot grow beyond its size":            tooMuch,
		"an unfinished upload is no blob":                  unfinished,
		"an upload of what is stored has nothing to do":    duplicate,
		"an upload under another size begins anew":         resized,
		"two uploaders of one digest do not corrupt it":    rivals,
		"many writers of one digest end with one blob":     crowd,
		"what is not there is not found":                   missing,
		"a cancelled context stops":                        cancelled,
		"sizes that no manifest can name are refused":      impossibleSizes,
		"who has a blob open reads on after it is removed": removed,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// want fails unless the store holds exactly that blob under its digest.
func want(t *testing.T, s Store, data []byte, digest manifest.Digest) {
	t.Helper()
	f, size, err := s.Open(digest)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, data) || size != int64(len(data)) {
		t.Errorf("read %d bytes of %d, %v; want %d", len(got), size, err, len(data))
	}
	sums, err := s.Verify(context.Background(), digest)
	if err != nil || sums != sumsOf(data) {
		t.Errorf("verified as %v, %v", sums, err)
	}
}

func sumsOf(data []byte) blob.Sums {
	return blob.Sums{SHA256: sha256.Sum256(data), SHA1: sha1.Sum(data), MD5: md5.Sum(data), Size: int64(len(data))}
}

// wantNothing fails if there is a blob under the digest, or any blob at all.
func wantNothing(t *testing.T, s Store, digest manifest.Digest) {
	t.Helper()
	if _, err := s.Stat(digest); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("something is visible: %v", err)
	}
	for item, err := range s.Items() {
		if err != nil || item.Kind == blob.KindBlob || item.Kind == blob.KindLeftover {
			t.Errorf("left behind: %+v, %v", item, err)
		}
	}
}

func wantErr(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got %v, want %v", err, target)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T, s Store, digest manifest.Digest, size int) blob.State {
	t.Helper()
	state, err := s.Upload(t.Context(), digest, int64(size))
	must(t, err)
	return state
}

func add(t *testing.T, s Store, digest manifest.Digest, offset int, part []byte) {
	t.Helper()
	end, err := s.Append(t.Context(), digest, int64(offset), bytes.NewReader(part))
	if err != nil || end != int64(offset+len(part)) {
		t.Fatalf("append %d bytes at %d: ends at %d, %v", len(part), offset, end, err)
	}
}

func finish(t *testing.T, s Store, data []byte, digest manifest.Digest) {
	t.Helper()
	sums, err := s.Finish(t.Context(), digest)
	if err != nil || sums != sumsOf(data) {
		t.Fatalf("finish: %v, %v", sums, err)
	}
	want(t, s, data, digest)
}

func putAndRead(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	for i, size := range []int{1, 3, 256 << 10, 256<<10 + 1, 700_001} {
		data, digest := image(byte(i), size)
		for range 2 { // again: the same
			sums, err := s.Put(t.Context(), digest, int64(size), iotest.HalfReader(bytes.NewReader(data)))
			if err != nil || sums != sumsOf(data) {
				t.Errorf("put %d bytes: %v, %v", size, sums, err)
			}
			want(t, s, data, digest)
		}
	}
	must(t, s.Close())
	s = open(t)
	data, digest := image(1, 3)
	want(t, s, data, digest)
}

func wrongImages(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 300_000)
	for name, c := range map[string]struct {
		image  []byte
		target error
	}{
		"other bytes": {append([]byte{^data[0]}, data[1:]...), blob.ErrDigest},
		"too short":   {data[:len(data)-1], blob.ErrSize},
		"too long":    {append(bytes.Clone(data), 0), blob.ErrSize},
		"empty":       {nil, blob.ErrSize},
	} {
		_, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(c.image))
		if !errors.Is(err, c.target) {
			t.Errorf("%s: %v", name, err)
		}
		wantNothing(t, s, digest)
	}
}

func brokenStream(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 300_000)
	broken := errors.New("line went dead")
	stream := io.MultiReader(bytes.NewReader(data[:200_000]), iotest.ErrReader(broken))
	_, err := s.Put(t.Context(), digest, int64(len(data)), stream)
	wantErr(t, err, broken)
	wantNothing(t, s, digest)
}

func resume(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 600_000)
	begin(t, s, digest, len(data))
	broken := errors.New("line went dead")
	end, err := s.Append(t.Context(), digest, 0, io.MultiReader(bytes.NewReader(data[:300_000]), iotest.ErrReader(broken)))
	wantErr(t, err, broken)
	state := begin(t, s, digest, len(data))
	if state.Offset != end || state.Stored || end > 300_000 {
		t.Errorf("broke off at %d, continues at %+v", end, state)
	}
	add(t, s, digest, int(end), data[end:450_000])
	add(t, s, digest, 450_000, nil)
	add(t, s, digest, 450_000, data[450_000:])
	finish(t, s, data, digest)
}

func restart(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 5000)
	begin(t, s, digest, len(data))
	add(t, s, digest, 0, data[:2000])
	must(t, s.Close())
	s = open(t)
	if state := begin(t, s, digest, len(data)); state.Offset != 2000 {
		t.Errorf("%+v", state)
	}
	add(t, s, digest, 2000, data[2000:])
	must(t, s.Close())
	s = open(t)
	finish(t, s, data, digest)
}

func wrongOffset(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 5000)
	begin(t, s, digest, len(data))
	add(t, s, digest, 0, data[:2000])
	for _, offset := range []int64{-1, 0, 1999, 2001, 5000, 1 << 40} {
		end, err := s.Append(t.Context(), digest, offset, bytes.NewReader(data))
		var wrong *blob.OffsetError
		if !errors.As(err, &wrong) || wrong.Want != 2000 || wrong.Given != offset || end != 2000 {
			t.Errorf("offset %d: ends at %d, %v", offset, end, err)
		}
	}
	add(t, s, digest, 2000, data[2000:])
	finish(t, s, data, digest)
}

func wrongUpload(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 5000)
	other, _ := image(2, 5000)
	begin(t, s, digest, len(data))
	add(t, s, digest, 0, other)
	_, err := s.Finish(t.Context(), digest)
	wantErr(t, err, blob.ErrDigest)
	wantNothing(t, s, digest)
	if state := begin(t, s, digest, len(data)); state.Offset != 0 {
		t.Errorf("the wrong bytes are still there: %+v", state)
	}
	add(t, s, digest, 0, data)
	finish(t, s, data, digest)
}

func tooMuch(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 5000)
	begin(t, s, digest, len(data))
	_, err := s.Append(t.Context(), digest, 0, bytes.NewReader(append(bytes.Clone(data), 1)))
	wantErr(t, err, blob.ErrSize)
	state := begin(t, s, digest, len(data))
	add(t, s, digest, int(state.Offset), data[state.Offset:])
	finish(t, s, data, digest)
}

func unfinished(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 5000)
	begin(t, s, digest, len(data))
	add(t, s, digest, 0, data[:4999])
	_, err := s.Finish(t.Context(), digest)
	wantErr(t, err, blob.ErrSize)
	wantNothing(t, s, digest)
	must(t, s.Abort(digest))
	must(t, s.Abort(digest))
	_, err = s.Append(t.Context(), digest, 4999, bytes.NewReader(data[4999:]))
	wantErr(t, err, blob.ErrNoUpload)
	_, err = s.Finish(t.Context(), digest)
	wantErr(t, err, blob.ErrNoUpload)
}

func duplicate(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 5000)
	_, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data))
	must(t, err)
	if state := begin(t, s, digest, len(data)); !state.Stored || state.Offset != int64(len(data)) {
		t.Errorf("%+v", state)
	}
	finish(t, s, data, digest)
}

func resized(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 5000)
	begin(t, s, digest, 4000)
	add(t, s, digest, 0, data[:3000])
	if state := begin(t, s, digest, len(data)); state.Offset != 0 || state.Size != int64(len(data)) {
		t.Errorf("%+v", state)
	}
	add(t, s, digest, 0, data)
	finish(t, s, data, digest)
}

func rivals(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 5000)
	begin(t, s, digest, len(data))
	// The rival comes while the first is in the middle of its bytes.
	rival := readerFunc(func([]byte) (int, error) {
		_, err := s.Append(t.Context(), digest, 0, bytes.NewReader(make([]byte, 5000)))
		wantErr(t, err, blob.ErrBusy)
		_, err = s.Finish(t.Context(), digest)
		wantErr(t, err, blob.ErrBusy)
		_, err = s.Upload(t.Context(), digest, int64(len(data)))
		wantErr(t, err, blob.ErrBusy)
		// A whole blob under the same digest may appear at any time.
		_, err = s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data))
		must(t, err)
		return 0, io.EOF
	})
	_, err := s.Append(t.Context(), digest, 0, io.MultiReader(bytes.NewReader(data[:2500]), rival))
	must(t, err)
	add(t, s, digest, 2500, data[2500:])
	finish(t, s, data, digest)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func crowd(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 50_000)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if i%2 == 0 {
				if _, err := s.Put(context.Background(), digest, int64(len(data)), bytes.NewReader(data)); err != nil {
					t.Error(err)
				}
				return
			}
			upload(t, s, data, digest)
		})
	}
	all.Wait()
	want(t, s, data, digest)
	for item, err := range s.Items() {
		if err != nil || item.Kind == blob.KindLeftover || item.Kind == blob.KindForeign {
			t.Errorf("left behind: %+v, %v", item, err)
		}
	}
}

// upload uploads like a client who comes back whenever he is told to.
func upload(t *testing.T, s Store, data []byte, digest manifest.Digest) {
	for range 10_000 {
		state, err := s.Upload(context.Background(), digest, int64(len(data)))
		if err == nil && state.Stored {
			return
		}
		if err == nil && state.Offset < state.Size {
			_, err = s.Append(context.Background(), digest, state.Offset, bytes.NewReader(data[state.Offset:min(state.Offset+20_000, state.Size)]))
		} else if err == nil {
			_, err = s.Finish(context.Background(), digest)
		}
		if errors.Is(err, blob.ErrBusy) {
			time.Sleep(time.Millisecond)
			continue
		}
		var moved *blob.OffsetError
		if err != nil && !errors.Is(err, blob.ErrNoUpload) && !errors.As(err, &moved) && !errors.Is(err, blob.ErrSize) {
			t.Error(err)
			return
		}
	}
	t.Error("the upload never ends")
}

func missing(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	_, digest := image(1, 10)
	_, _, err := s.Open(digest)
	wantErr(t, err, blob.ErrNotFound)
	_, err = s.Verify(t.Context(), digest)
	wantErr(t, err, blob.ErrNotFound)
	wantErr(t, s.Remove(digest), blob.ErrNotFound)
	_, err = s.Append(t.Context(), digest, 0, bytes.NewReader(nil))
	wantErr(t, err, blob.ErrNoUpload)
	_, err = s.Finish(t.Context(), digest)
	wantErr(t, err, blob.ErrNoUpload)
	wantNothing(t, s, digest)
}

func cancelled(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Put(ctx, digest, 10, bytes.NewReader(data))
	wantErr(t, err, context.Canceled)
	begin(t, s, digest, 10)
	_, err = s.Append(ctx, digest, 0, bytes.NewReader(data))
	wantErr(t, err, context.Canceled)
	wantNothing(t, s, digest)
}

func impossibleSizes(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 10)
	for _, size := range []int64{-1, 0, manifest.MaxImageSize + 1} {
		_, err := s.Put(t.Context(), digest, size, bytes.NewReader(data))
		wantErr(t, err, blob.ErrSize)
		_, err = s.Upload(t.Context(), digest, size)
		wantErr(t, err, blob.ErrSize)
	}
	wantNothing(t, s, digest)
}

func removed(t *testing.T, open func(*testing.T) Store) {
	s := open(t)
	data, digest := image(1, 300_000)
	_, err := s.Put(t.Context(), digest, int64(len(data)), bytes.NewReader(data))
	must(t, err)
	f, _, err := s.Open(digest)
	must(t, err)
	defer f.Close()
	must(t, s.Remove(digest))
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	wantNothing(t, s, digest)
}
