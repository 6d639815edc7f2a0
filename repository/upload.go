package repository

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/manifest"
)

// An UploadState is where the upload of an image stands.
type UploadState = blob.State

// An UploadOffsetError refuses bytes that do not continue an upload where it
// stands, and says where that is.
type UploadOffsetError = blob.OffsetError

// ErrUploadBusy refuses bytes while another call brings bytes of the same
// image.
var ErrUploadBusy = blob.ErrBusy

// BeginUpload begins the upload of an image of size bytes, or finds where an
// earlier one broke off. Only one process at a time takes uploads.
func (r *Repository) BeginUpload(ctx context.Context, digest manifest.Digest, size int64) (UploadState, error) {
	s, err := r.blobs.Upload(ctx, digest, size)
	return s, explainBlob(err)
}

// ContinueUpload adds the bytes of part at offset, which must be where the
// upload stands (*UploadOffsetError). It returns where the upload stands
// afterwards, also if part breaks off: so much is here, durably.
func (r *Repository) ContinueUpload(ctx context.Context, digest manifest.Digest, offset int64, part io.Reader) (int64, error) {
	end, err := r.blobs.Append(ctx, digest, offset, part)
	return end, explainBlob(err)
}

// FinishUpload verifies an upload that is complete. The image is not published
// by that: AddRelease publishes it.
func (r *Repository) FinishUpload(ctx context.Context, digest manifest.Digest) error {
	_, err := r.blobs.Finish(ctx, digest)
	return explainBlob(err)
}

// ExpireUploads discards uploads that nobody continued for so long, and
// returns how many files that were.
func (r *Repository) ExpireUploads(ctx context.Context, age time.Duration) (int, error) {
	n, err := r.blobs.Expire(r.now().Add(-age))
	if err != nil {
		return n, fmt.Errorf("expire uploads: %w", err)
	}
	return n, nil
}
