package blob

import (
	"bytes"
	"errors"
	"testing"

	"github.com/secure-ota/secure-ota/internal/dcbor"
)

func FuzzState(f *testing.F) {
	good, err := dcbor.Marshal(upload{Format: stateFormat, Size: 1000, Offset: 24, Tail: make([]byte, 24)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:3])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := decodeState(data)
		if err != nil {
			if !errors.Is(err, ErrNoUpload) {
				t.Fatalf("%x: %v", data, err)
			}
			return
		}
		if u.Offset < 0 || u.Offset > u.Size {
			t.Fatalf("%x decodes as %+v", data, u)
		}
		if again, err := dcbor.Marshal(u); err != nil || !bytes.Equal(data, again) && bytes.IndexByte(data, 0x18) < 0 {
			t.Fatalf("%x decodes as %+v, which is %x", data, u, again)
		}
	})
}
