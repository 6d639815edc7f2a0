package blob

import (
	"bytes"
	"errors"
	"testing"
)

func FuzzS3State(f *testing.F) {
	for _, u := range []s3State{
		{Format: s3StateFormat, Size: 10},
		{Format: s3StateFormat, Size: 10, Offset: 3, tail: []byte("abc")},
		{Format: s3StateFormat, Size: 3 * partSize, Offset: 2 * partSize, UploadID: "id", ETags: []string{"a"}, tail: make([]byte, partSize)},
		{Format: s3StateFormat, Size: 2*partSize + 5, Offset: 2*partSize + 5, UploadID: "id", ETags: []string{"a", "b", "c"}},
	} {
		raw, err := u.encode()
		if err != nil {
			f.Fatal(err)
		}
		if again, err := decodeS3State(raw); err != nil || again.Offset != u.Offset || !bytes.Equal(again.tail, u.tail) {
			f.Fatalf("%s decodes as %+v, %v", raw, again, err)
		}
		f.Add(raw)
	}
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, err := decodeS3State(raw)
		if err != nil {
			if !errors.Is(err, ErrNoUpload) {
				t.Fatal(err)
			}
			return
		}
		w, err := (&S3{}).resume([32]byte{1}, u)
		if err != nil {
			if !errors.Is(err, ErrNoUpload) {
				t.Fatal(err)
			}
			return
		}
		if w.offset() != u.Offset || w.offset() > u.Size {
			t.Fatalf("%+v continues at %d", u, w.offset())
		}
	})
}
