package cose

import "crypto/sha256"

// hmacPad is how many bytes stand before the message given to hmac256, which
// puts the key there.
const hmacPad = sha256.BlockSize

// hmac256 is HMAC-SHA-256 (RFC 2104) of what stands in padded after hmacPad
// bytes. crypto/hmac takes half a kilobyte of the heap for each, and every
// message to and from a device has one, which makes a tenth of the garbage of
// an update check; this takes none.
func hmac256(key, padded []byte) [sha256.Size]byte {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	var outer [sha256.BlockSize + sha256.Size]byte
	clear(padded[:hmacPad])
	copy(padded, key)
	copy(outer[:], key)
	for i := range sha256.BlockSize {
		padded[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	inner := sha256.Sum256(padded)
	copy(outer[sha256.BlockSize:], inner[:])
	return sha256.Sum256(outer[:])
}
