package native

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// fromFile is a ResponseWriter that, as the server's own on a plain connection
// does, hands what it is to read from to the kernel, and notes what that was.
type fromFile struct {
	*httptest.ResponseRecorder
	calls int
	other int // sources that the kernel cannot send by itself
}

func (w *fromFile) ReadFrom(r io.Reader) (int64, error) {
	w.calls++
	limited, ok := r.(*io.LimitedReader)
	if ok {
		_, ok = limited.R.(*os.File)
	}
	if !ok {
		w.other++
	}
	return io.Copy(w.ResponseRecorder, r)
}

func (w *fromFile) SetWriteDeadline(time.Time) error { return nil }

func TestTheKernelGetsTheFileItself(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 30_000)
	name := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := &Handler{stall: stallTime}
	w := &fromFile{ResponseRecorder: httptest.NewRecorder()}
	if err := h.stream(t.Context(), w, f, span{5, 250_000}); err != nil {
		t.Fatal(err)
	}
	if w.calls == 0 || w.other > 0 {
		t.Errorf("%d copies, %d of them not from a bare file", w.calls, w.other)
	}
	if !bytes.Equal(w.Body.Bytes(), content[5:250_005]) {
		t.Error("other bytes were sent")
	}
	if w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}

func TestRangesNeverLeaveTheFile(t *testing.T) {
	for _, size := range []int64{1, 2, 10} {
		for _, header := range []string{
			"bytes=0-0", "bytes=1-", "bytes=-1", "bytes=-11", "bytes=0-9223372036854775807", "bytes=9223372036854775807-",
			"bytes=18446744073709551616-18446744073709551617", "bytes= 0-1", "bytes=0 -1", "bytes=\x00", "bytes==", "bytes=0-1-2", "bytes=1--1",
		} {
			s, partial, err := parseRange([]string{header}, size)
			if err != nil {
				continue
			}
			if s.start < 0 || s.length < 1 || s.start+s.length > size || s.start+s.length < 0 {
				t.Errorf("%q of %d bytes: %+v", header, size, s)
			}
			if !partial && s != (span{0, size}) {
				t.Errorf("%q of %d bytes: not partial, and not the whole: %+v", header, size, s)
			}
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-5", int64(10))
	f.Add("bytes=-5", int64(3))
	f.Add("bytes=5-4", int64(10))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 1 {
			return
		}
		s, _, err := parseRange([]string{header}, size)
		if err == nil && (s.start < 0 || s.length < 1 || s.start > size-s.length) {
			t.Errorf("%q of %d bytes: %+v", header, size, s)
		}
	})
}

func FuzzDecodeCheckRequest(f *testing.F) {
	f.Add([]byte(`{"device":"a","device_type":"b","nonce":1,"sequence":"1.1","image_digest":"` + string(bytes.Repeat([]byte("0"), 64)) + `","keyset_version":1,"boot":"trial"}`))
	f.Add([]byte(`{"Device":"a"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decodeCheckRequest(raw)
		if err == nil && (r.Device == "" || r.DeviceType == "" || r.Validate() != nil) {
			t.Errorf("accepted %+v", r)
		}
	})
}

func FuzzDecodeReport(f *testing.F) {
	f.Add([]byte(`{"device":"a","device_type":"b","nonce":1,"event":"confirmed","sequence":"1.1","image_digest":"` + string(bytes.Repeat([]byte("0"), 64)) + `"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decodeReport(raw)
		if err == nil && (r.Device == "" || r.Validate() != nil) {
			t.Errorf("accepted %+v", r)
		}
	})
}
