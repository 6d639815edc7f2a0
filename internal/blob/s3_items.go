package blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/s3"
	"github.com/secure-ota/secure-ota/manifest"
)

// Items yields every object below the prefix, and as a leftover every
// multipart upload that no state names, in no order.
func (s *S3) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel() // which ends the listing, should nobody want the rest
		for object, err := range s.client.List(ctx, s.loc.prefix) {
			if err != nil {
				yield(Item{}, fmt.Errorf("list images: %w", explainS3(err)))
				return
			}
			if !yield(s.identify(object), nil) {
				return
			}
		}
		for item, err := range s.orphans(ctx) {
			if !yield(item.Item, err) {
				return
			}
		}
	}
}

// identify says what an object is.
func (s *S3) identify(object s3.Object) Item {
	item := Item{Name: "s3://" + s.loc.bucket + "/" + object.Key, Size: object.Size, ModTime: object.LastModified}
	dir, base, _ := strings.Cut(strings.TrimPrefix(object.Key, s.loc.prefix), "/")
	hex := strings.TrimSuffix(base, stateSuffix)
	digest, err := manifest.ParseDigest(hex)
	switch {
	case err != nil:
	case dir == blobsName && hex == base:
		item.Kind, item.Digest = KindBlob, digest
	case dir == uploadsName && hex != base:
		item.Kind, item.Digest = KindUpload, digest
	}
	return item
}

// An orphan is a multipart upload that no state names: of a running call, or
// of one that died.
type orphan struct {
	Item
	uploadID string
}

func (s *S3) orphans(ctx context.Context) iter.Seq2[orphan, error] {
	return func(yield func(orphan, error) bool) {
		for open, err := range s.client.Uploads(ctx, s.loc.prefix+blobsName+"/") {
			if err != nil {
				yield(orphan{}, fmt.Errorf("list parts of images: %w", explainS3(err)))
				return
			}
			digest, err := manifest.ParseDigest(strings.TrimPrefix(open.Key, s.loc.prefix+blobsName+"/"))
			if err != nil {
				continue // not ours
			}
			u, err := s.readState(ctx, digest)
			if err == nil && u.UploadID == open.UploadID {
				continue
			}
			if err != nil && !errors.Is(err, ErrNoUpload) {
				yield(orphan{}, err)
				return
			}
			item := Item{Kind: KindLeftover, Name: "parts of s3://" + s.loc.bucket + "/" + open.Key, Digest: digest, ModTime: open.Initiated}
			if !yield(orphan{item, open.UploadID}, nil) {
				return
			}
		}
	}
}

// Expire is Dir.Expire.
func (s *S3) Expire(since time.Time) (removed int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for item, err := range s.Items() {
		if err != nil {
			return removed, err
		}
		if item.Kind != KindUpload || !item.ModTime.Before(since) {
			continue
		}
		err = s.exclusively(ctx, item.Digest, func() error {
			info, err := s.client.Head(ctx, s.stateKey(item.Digest))
			if err == nil && !info.LastModified.Before(since) {
				return ErrBusy
			}
			if err != nil {
				return explainS3(err)
			}
			return s.discard(ctx, item.Digest)
		})
		if errors.Is(err, ErrBusy) || errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return removed, wrap("expire", item.Digest, explainS3(err))
		}
		removed++
	}
	for left, err := range s.orphans(ctx) {
		if err != nil {
			return removed, err
		}
		if !left.ModTime.Before(since) {
			continue
		}
		if err := s.abortParts(ctx, left.Digest, left.uploadID); err != nil {
			return removed, wrap("expire", left.Digest, err)
		}
		removed++
	}
	return removed, nil
}

// crowded refuses one more upload than there may be.
func (s *S3) crowded() error {
	// The states alone: all images would be a page for each thousand, and each
	// upload that is under way up to a part, read for every new one.
	n := 0
	for object, err := range s.client.List(context.Background(), s.loc.prefix+uploadsName+"/") {
		if err != nil {
			return fmt.Errorf("list uploads: %w", explainS3(err))
		}
		if s.identify(object).Kind == KindUpload {
			n++
		}
	}
	if n >= maxUploads {
		return fmt.Errorf("%w: %d are not finished", ErrBusy, n)
	}
	return nil
}

// room refuses a blob that would not fit, before its first byte is taken. How
// much the store itself still takes, it says when it is full.
func (s *S3) room(size int64) error {
	if size < 1 || size > s.cfg.MaxSize {
		return fmt.Errorf("%w: %d bytes, want 1 to %d", ErrSize, size, s.cfg.MaxSize)
	}
	if s.cfg.Quota == 0 {
		return nil
	}
	var used int64
	for object, err := range s.client.List(context.Background(), s.loc.prefix) {
		if err != nil {
			return fmt.Errorf("list images: %w", explainS3(err))
		}
		switch item := s.identify(object); item.Kind {
		case KindBlob:
			used += item.Size
		case KindUpload: // as much as it will bring
			u, err := s.readState(context.Background(), item.Digest)
			if err != nil && !errors.Is(err, ErrNoUpload) {
				return err
			}
			used += u.Size
		}
	}
	if size > s.cfg.Quota-used {
		return fmt.Errorf("%w: %d bytes do not fit: %d of the quota of %d bytes are used", ErrFull, size, used, s.cfg.Quota)
	}
	return nil
}
