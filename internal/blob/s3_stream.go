package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/secure-ota/secure-ota/internal/s3"
	"github.com/secure-ota/secure-ota/manifest"
)

// An s3Stream reads an object from the store, from where it is told to. It
// asks when it is read.
type s3Stream struct {
	ctx    context.Context
	client *s3.Client
	key    string
	size   int64
	at     int64
	body   io.ReadCloser // from at on; nil: not asked yet
}

// stream opens the stored object and returns its size in bytes. It ends with
// ctx.
func (s *S3) stream(ctx context.Context, digest manifest.Digest) (io.ReadSeekCloser, int64, error) {
	head, cancel := small(ctx)
	defer cancel()
	info, err := s.client.Head(head, s.key(digest))
	if err != nil {
		return nil, 0, fmt.Errorf("open blob %s: %w", digest, explainS3(err))
	}
	return &s3Stream{ctx: ctx, client: s.client, key: s.key(digest), size: info.Size}, info.Size, nil
}

// Read implements io.Reader.
func (s *s3Stream) Read(p []byte) (int, error) {
	if s.at >= s.size {
		return 0, io.EOF
	}
	if s.body == nil {
		body, err := s.client.Get(s.ctx, s.key, s.at)
		if err != nil {
			return 0, explainS3(err)
		}
		s.body = body
	}
	n, err := s.body.Read(p)
	s.at += int64(n)
	if err == io.EOF && s.at == s.size {
		return n, err
	}
	return n, explainS3(err) // an end before the last byte among them
}

// Seek implements io.Seeker.
func (s *s3Stream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return s.at, errors.New("seek before the first byte")
	}
	if offset != s.at {
		s.Close()
		s.at = offset
	}
	return offset, nil
}

// Close ends the answer that is being read.
func (s *s3Stream) Close() error {
	if s.body == nil {
		return nil
	}
	err := s.body.Close()
	s.body = nil
	return err
}
