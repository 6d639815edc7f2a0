package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"slices"

	"github.com/secure-ota/secure-ota/internal/testvectors"
)

// The values of typ in the protected headers (docs/spec/objects.md section 2).
const (
	typKeyset   = 65101
	typManifest = 65102
	typRequest  = 65103
	typResponse = 65104
	typReport   = 65105
)

// A signature is a COSE_Signature to be written; zero fields get what is right.
type signature struct {
	key         *testvectors.Key
	alg         int64
	kid         []byte
	protected   []byte // encoded header map, otherwise {1: alg, 4: kid}
	unprotected []byte
	value       func(message []byte) []byte // otherwise a good signature
	context     string                      // of the Sig_structure
	aad         []byte
	typ         uint64 // in the Sig_structure alone
}

func by(keys ...*testvectors.Key) []signature {
	sigs := make([]signature, len(keys))
	for i, k := range keys {
		sigs[i] = signature{key: k}
	}
	return sigs
}

func (s signature) kidBytes() []byte {
	if s.kid != nil {
		return s.kid
	}
	kid := s.key.ID().KID()
	return kid[:]
}

func (s signature) algorithm() int64 {
	if s.alg != 0 {
		return s.alg
	}
	return int64(s.key.Public().Algorithm())
}

func (s signature) header() []byte {
	if s.protected != nil {
		return s.protected
	}
	return pairs(num(1), integer(s.algorithm()), num(4), bstr(s.kidBytes()))
}

func (s signature) encode(body, payload []byte) []byte {
	context := "Signature"
	if s.context != "" {
		context = s.context
	}
	if s.typ != 0 {
		body = typHeader(s.typ)
	}
	message := array(tstr(context), bstr(body), bstr(s.header()), bstr(s.aad), bstr(payload))
	var value []byte
	if s.value != nil {
		value = s.value(message)
	} else {
		value, _ = s.key.Sign(message)
	}
	unprotected := pairs()
	if s.unprotected != nil {
		unprotected = s.unprotected
	}
	return array(bstr(s.header()), unprotected, bstr(value))
}

func typHeader(typ uint64) []byte { return pairs(num(16), num(typ)) }

// sign writes a COSE_Sign with the signatures in the right order.
func sign(typ uint64, payload []byte, sigs ...signature) []byte {
	sigs = slices.Clone(sigs)
	slices.SortStableFunc(sigs, func(a, b signature) int { return bytes.Compare(a.kidBytes(), b.kidBytes()) })
	return signInOrder(typ, payload, sigs...)
}

// signInOrder writes the signatures in the order given.
func signInOrder(typ uint64, payload []byte, sigs ...signature) []byte {
	return envelope{body: typHeader(typ), payload: payload, sigs: sigs}.encode()
}

// An envelope is a COSE_Sign of which every part can be made wrong.
type envelope struct {
	tag         []byte // otherwise 98
	body        []byte // protected header, encoded
	unprotected []byte
	payload     []byte
	wire        func(parts [][]byte) []byte // how the four parts are put together
	sigs        []signature
}

func (e envelope) encode() []byte {
	var sigs [][]byte
	for _, s := range e.sigs {
		sigs = append(sigs, s.encode(e.body, e.payload))
	}
	unprotected := pairs()
	if e.unprotected != nil {
		unprotected = e.unprotected
	}
	parts := [][]byte{bstr(e.body), unprotected, bstr(e.payload), array(sigs...)}
	body := array(parts...)
	if e.wire != nil {
		body = e.wire(parts)
	}
	tag := head(6, 98)
	if e.tag != nil {
		tag = e.tag
	}
	return append(slices.Clone(tag), body...)
}

// A sealed is a COSE_Mac0 of which every part can be made wrong.
type sealed struct {
	tag         []byte // otherwise 17
	typ         uint64
	kid         []byte
	protected   []byte // otherwise {1: 5, 4: kid, 16: typ}
	unprotected []byte
	key         []byte
	payload     []byte
	context     string
	mac         func(tag []byte) []byte // changes the tag
	wire        func(parts [][]byte) []byte
}

func (s sealed) header() []byte {
	if s.protected != nil {
		return s.protected
	}
	return pairs(num(1), num(5), num(4), bstr(s.kid), num(16), num(s.typ))
}

func (s sealed) encode() []byte {
	context := "MAC0"
	if s.context != "" {
		context = s.context
	}
	h := hmac.New(sha256.New, s.key)
	h.Write(array(tstr(context), bstr(s.header()), bstr(nil), bstr(s.payload)))
	mac := h.Sum(nil)
	if s.mac != nil {
		mac = s.mac(mac)
	}
	unprotected := pairs()
	if s.unprotected != nil {
		unprotected = s.unprotected
	}
	parts := [][]byte{bstr(s.header()), unprotected, bstr(s.payload), bstr(mac)}
	body := array(parts...)
	if s.wire != nil {
		body = s.wire(parts)
	}
	tag := head(6, 17)
	if s.tag != nil {
		tag = s.tag
	}
	return append(slices.Clone(tag), body...)
}

// symmetricKID is the kid of a MAC key: 8 bytes of the thumbprint of the
// COSE_Key {1: 4, -1: key}.
func symmetricKID(key []byte) []byte {
	sum := sha256.Sum256(pairs(num(1), num(4), integer(-1), bstr(key)))
	return sum[:8]
}
