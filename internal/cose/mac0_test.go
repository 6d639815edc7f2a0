package cose

import (
	"bytes"
	"testing"
)

// What is read without the general decoder is what that would have decoded.
func FuzzReadMac0(f *testing.F) {
	for _, typ := range []Typ{TypKeyset, TypCheckRequest, TypReport, 1, 1 << 40} {
		f.Add(Seal(typ, KID{1, 2, 3}, []byte("key"), []byte{0xa0})[1:], uint64(typ))
	}
	f.Fuzz(func(t *testing.T, body []byte, typ uint64) {
		got, ok := readMac0(body, Typ(typ))
		if !ok {
			return
		}
		want, err := decodeMac0(body, Typ(typ))
		if err != nil {
			t.Fatalf("%x was read, but: %v", body, err)
		}
		if got.Typ != want.Typ || got.KID != want.KID || !bytes.Equal(got.Payload, want.Payload) ||
			!bytes.Equal(got.header, want.header) || !bytes.Equal(got.tag, want.tag) {
			t.Fatalf("%x: %+v, want %+v", body, got, want)
		}
	})
}

func TestWhatSealWritesIsReadWithoutTheDecoder(t *testing.T) {
	for _, typ := range []Typ{TypCheckRequest, TypCheckResponse, TypReport} {
		header := marshal(macHeader{AlgHMAC256, bytes.Repeat([]byte{7}, KIDSize), typ})
		sealed := Seal(typ, KID(bytes.Repeat([]byte{7}, KIDSize)), []byte("key"), []byte{0xa0})
		m, ok := readMac0(sealed[1:], typ)
		if !ok || !bytes.Equal(m.header, header) {
			t.Errorf("%s: %t, header %x, want %x", typ, ok, m.header, header)
		}
	}
}
