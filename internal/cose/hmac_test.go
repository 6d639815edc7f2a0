package cose

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"pgregory.net/rapid"
)

// It is the library's HMAC.
func TestHMAC(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 2*sha256.BlockSize+1).Draw(rt, "key")
		message := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "message")
		mac := hmac.New(sha256.New, key)
		mac.Write(message)
		got := hmac256(key, append(make([]byte, hmacPad), message...))
		if !hmac.Equal(mac.Sum(nil), got[:]) {
			rt.Fatalf("%x of %x under %x", got, message, key)
		}
	})
}

func TestASteadyMACTakesNoHeap(t *testing.T) {
	m := &Maced{Typ: TypCheckRequest, Payload: make([]byte, 128), header: make([]byte, 20), tag: make([]byte, 32)}
	key := make([]byte, 32)
	if n := testing.AllocsPerRun(100, func() { m.mac(key) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
