package dcbor

import (
	"bytes"
	"math"
	"testing"
)

func TestWhatIsAppendedIsWhatTheEncoderWrites(t *testing.T) {
	for _, n := range []uint64{0, 1, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		want, err := Marshal(n)
		if got := AppendUint(nil, n); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d: %x, want %x", n, got, want)
		}
	}
	for _, size := range []int{0, 1, 23, 24, 255, 256, 70000} {
		raw := bytes.Repeat([]byte{'a'}, size)
		want, err := Marshal(raw)
		if got := AppendBytes(nil, raw); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %.9x, want %.9x", size, got, want)
		}
		want, err = Marshal(string(raw))
		if got := AppendText(nil, string(raw)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("a text of %d bytes: %.9x, want %.9x", size, got, want)
		}
	}
	want, err := Marshal(map[int][]int{1: {2, 3}})
	got := AppendUint(AppendUint(AppendArray(AppendUint(AppendMap(nil, 1), 1), 2), 2), 3)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestAReaderThatFailedReadsNothingMore(t *testing.T) {
	r := NewReader(AppendText(AppendUint(nil, 7), "x"))
	if r.Uint(6) != 0 || r.OK() || r.Text() != "" || r.Bytes() != nil || r.Map() != 0 || r.Array() != 0 || r.Done() {
		t.Error("it went on")
	}
}

// Whatever a Reader reads to the end is within the profile.
func FuzzReader(f *testing.F) {
	for _, raw := range [][]byte{{}, {0xa1, 0x01, 0x82, 0x40, 0x61, 'x'}, {0x1b, 0, 0, 0, 1, 0, 0, 0, 0}, {0x18, 0x17}, {0x5f}, {0x62, 0xc3, 0x28}, {0x9a, 0xff, 0xff, 0xff, 0xff}} {
		f.Add(raw, []byte{0, 1, 2, 3, 4})
	}
	f.Fuzz(func(t *testing.T, raw, ask []byte) {
		r := NewReader(raw)
		var again []byte
		for _, what := range ask {
			switch what % 5 {
			case 0:
				again = AppendUint(again, r.Uint(math.MaxUint64))
			case 1:
				again = AppendBytes(again, r.Bytes())
			case 2:
				again = AppendText(again, r.Text())
			case 3:
				again = AppendMap(again, r.Map())
			case 4:
				again = AppendArray(again, r.Array())
			}
			if !r.OK() {
				return
			}
		}
		if r.Done() && !bytes.Equal(again, raw) {
			t.Errorf("%x was read as %x", raw, again)
		}
	})
}
