package cose

import "bytes"

// LookalikeSize is how many leading bytes of a file Lookalike needs to see.
const LookalikeSize = 64

// Lookalike reports whether data begins like a Sig_structure or MAC_structure
// (RFC 9052 sections 4.4 and 6.3): an array of four or five items, in any
// encoding of its head, whose first is one of the context strings, again in
// any encoding of its head.
//
// The attack it stops: a bare signature over a file that is a Sig_structure is
// a valid signature of a manifest. So bare signing refuses such input.
func Lookalike(data []byte) bool {
	rest, ok := cutHead(data[:min(len(data), LookalikeSize)], 4)
	if !ok {
		return false
	}
	rest, ok = cutHead(rest, 3)
	if !ok {
		return false
	}
	for _, context := range []string{"Signature", "Signature1", "CounterSignature", "MAC", "MAC0"} {
		n := min(len(context), len(rest), 3)
		if n > 0 && bytes.Equal(rest[:n], []byte(context)[:n]) {
			return true
		}
	}
	return false
}

// cutHead skips one CBOR head of the given major type, whatever its length
// encoding, definite or not.
func cutHead(data []byte, major byte) ([]byte, bool) {
	if len(data) == 0 || data[0]>>5 != major {
		return nil, false
	}
	skip := 1
	switch info := data[0] & 0x1f; info {
	case 24:
		skip = 2
	case 25:
		skip = 3
	case 26:
		skip = 5
	case 27:
		skip = 9
	case 31: // an indefinite string continues with a definite chunk
		if major == 3 {
			return cutHead(data[1:], major)
		}
	}
	if len(data) < skip {
		return nil, false
	}
	return data[skip:], true
}
