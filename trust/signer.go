package trust

import (
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/cose"
)

// A Signer signs with one private key, wherever that is: in memory (package
// signing), in a token, or behind another program.
type Signer interface {
	// Public returns the public half.
	Public() PublicKey
	// Sign signs message, which is a Sig_structure, never a digest and never
	// a file: a key has one use.
	Sign(message []byte) ([]byte, error)
}

// unsigned wraps a payload as a COSE_Sign that nobody has signed yet.
func unsigned(typ cose.Typ, max int, payload []byte) ([]byte, error) {
	return encode(&cose.Signed{Typ: typ, Payload: payload}, max)
}

// encode refuses what could not be parsed again.
func encode(obj *cose.Signed, max int) ([]byte, error) {
	raw, err := obj.Encode()
	if err != nil {
		return nil, err
	}
	if len(raw) > max {
		return nil, fmt.Errorf("encode %s: %w: %d bytes with its signatures, at most %d", obj.Typ, ErrTooLarge, len(raw), max)
	}
	return raw, nil
}

// addSignature signs raw, keeping the signatures it has. It verifies what the
// signer returned before it puts it in: an external signer may hold another
// key than its certificate says.
func addSignature(raw []byte, typ cose.Typ, max int, s Signer) ([]byte, error) {
	obj, err := cose.ParseSigned(raw, typ, max)
	if err != nil {
		return nil, err
	}
	pub := s.Public()
	message := obj.ToBeSigned(int64(pub.Algorithm()), pub.ID().KID())
	value, err := s.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign %s with key %s: %w", typ, pub.ID(), err)
	}
	if err := pub.Verify(message, value); err != nil {
		return nil, fmt.Errorf("sign %s: the signer's answer is not by key %s: %w", typ, pub.ID(), err)
	}
	obj.Add(cose.Signature{Alg: int64(pub.Algorithm()), KID: pub.ID().KID(), Value: value})
	return encode(obj, max)
}

// merge unites the signatures of two copies of one object.
func merge(a, b []byte, typ cose.Typ, max int) ([]byte, error) {
	left, err := cose.ParseSigned(a, typ, max)
	if err != nil {
		return nil, err
	}
	right, err := cose.ParseSigned(b, typ, max)
	if err != nil {
		return nil, err
	}
	if string(left.Payload) != string(right.Payload) {
		return nil, fmt.Errorf("merge %ss: the signed contents differ", typ)
	}
	for _, sig := range right.Signatures {
		left.Add(sig)
	}
	return encode(left, max)
}

// countValid counts the keys of want that signed obj. Signatures that no
// wanted key claims are skipped; one that a wanted key claims and that does
// not verify makes the object refused, for somebody changed something.
//
// A key counts once: obj holds each kid once, and a signature counts for one
// key, however often an anchor may name it.
func countValid(obj *cose.Signed, want []SignerKey, keys KeyRing) (counted []SignerKey, err error) {
	for _, sig := range obj.Signatures {
		i := slices.IndexFunc(want, func(w SignerKey) bool {
			return w.ID.KID() == sig.KID && int64(w.Algorithm) == sig.Alg
		})
		if i < 0 {
			continue
		}
		w := want[i]
		key := keys[w.ID]
		if key.ID() != w.ID || key.Algorithm() != w.Algorithm {
			continue // the key is not at hand, or is not what the keyset says
		}
		if err := key.Verify(obj.ToBeSigned(sig.Alg, sig.KID), sig.Value); err != nil {
			return nil, fmt.Errorf("verify %s: signature by key %s: %w", obj.Typ, w.ID, err)
		}
		counted = append(counted, w)
	}
	return counted, nil
}
