package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/manifest"
)

const (
	s3StateFormat = 1
	maxS3State    = partSize + 256<<10 // bytes
)

// s3State is where an upload stands: one object, a line of JSON and then the
// bytes that do not fill a part yet. One object, so that it is always of one
// moment: the bytes it counts are in the parts that it names and behind its
// line, and nowhere else.
type s3State struct {
	Format   int       `json:"format"`
	Size     int64     `json:"size"`
	Offset   int64     `json:"offset"`
	UploadID string    `json:"upload_id,omitempty"` // of the multipart upload
	ETags    []string  `json:"etags,omitempty"`     // of its parts, in order
	Hashes   [3][]byte `json:"hashes"`              // SHA-256, SHA-1 and MD5 of the parts, to be continued
	tail     []byte
}

func (u s3State) encode() ([]byte, error) {
	line, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	return append(append(line, '\n'), u.tail...), nil
}

// decodeS3State strictly decodes a state. One that is damaged belongs to no
// upload that could be continued. The tail is a whole part where that could not
// be sent.
func decodeS3State(raw []byte) (s3State, error) {
	line, tail, found := bytes.Cut(raw, []byte{'\n'})
	var u s3State
	if !found || len(raw) > maxS3State {
		return u, fmt.Errorf("%w: its state is damaged", ErrNoUpload)
	}
	if err := json.Unmarshal(line, &u, json.RejectUnknownMembers(true)); err != nil {
		return s3State{}, fmt.Errorf("%w: its state is damaged: %v", ErrNoUpload, err)
	}
	parts := int64(len(u.ETags))
	if u.Format != s3StateFormat || u.Size < 1 || u.Size > manifest.MaxImageSize || u.Offset > u.Size || len(tail) > partSize ||
		parts > 0 && u.UploadID == "" || parts > (u.Size+partSize-1)/partSize || u.Offset != min(parts*partSize, u.Size)+int64(len(tail)) {
		return s3State{}, fmt.Errorf("%w: its state is damaged: byte %d of %d", ErrNoUpload, u.Offset, u.Size)
	}
	u.tail = tail
	return u, nil
}

func (s *S3) stateKey(digest manifest.Digest) string {
	return s.loc.prefix + uploadsName + "/" + digest.String() + stateSuffix
}

func (s *S3) readState(ctx context.Context, digest manifest.Digest) (s3State, error) {
	ctx, cancel := context.WithTimeout(ctx, partPatience)
	defer cancel()
	body, err := s.client.Get(ctx, s.stateKey(digest), 0)
	if err = explainS3(err); errors.Is(err, ErrNotFound) {
		return s3State{}, ErrNoUpload
	}
	if err != nil {
		return s3State{}, err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxS3State+1))
	if err != nil {
		return s3State{}, err
	}
	return decodeS3State(raw)
}

func (s *S3) writeState(ctx context.Context, digest manifest.Digest, u s3State) error {
	u.Format = s3StateFormat
	raw, err := u.encode()
	if err != nil {
		return err
	}
	return s.putSmall(ctx, s.stateKey(digest), raw)
}

// discard removes what there is of an upload.
func (s *S3) discard(ctx context.Context, digest manifest.Digest) error {
	u, err := s.readState(ctx, digest)
	if err != nil && !errors.Is(err, ErrNoUpload) {
		return err
	}
	if err := s.abortParts(ctx, digest, u.UploadID); err != nil {
		return err
	}
	ctx, cancel := small(context.WithoutCancel(ctx))
	defer cancel()
	return s.client.Delete(ctx, s.stateKey(digest))
}
