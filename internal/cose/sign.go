// Package cose reads and writes the two COSE messages (RFC 9052) that all
// objects are made of: COSE_Sign (tag 98) for what is signed and COSE_Mac0
// (tag 17) for what is MAC'ed, in the one form that docs/spec/objects.md
// allows: deterministic CBOR, payload attached, unprotected maps empty,
// external_aad empty, nothing in the protected headers but typ, alg and kid.
//
// It knows no keys and decides nothing: package trust does.
package cose

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/internal/reason"
)

// KIDSize is the length of a kid in bytes: the first bytes of the key id. It
// is a hint that finds a key, never a proof.
const KIDSize = 8

// MaxSignatures is the most signatures one object may carry, those by unknown
// keys included.
const MaxSignatures = 8

// MaxSignatureSize is the longest signature that is parsed, in bytes. It leaves
// room for post-quantum signatures beside the classic ones.
const MaxSignatureSize = 5120

// A KID is the hint by which a signature or MAC names its key.
type KID [KIDSize]byte

var tagSign = []byte{0xd8, 98}

// A Signed is a parsed COSE_Sign. Nothing about it is verified.
type Signed struct {
	Typ        Typ
	Payload    []byte
	Signatures []Signature // strictly ascending by KID
}

// A Signature is one COSE_Signature.
type Signature struct {
	Alg   int64 // COSE algorithm
	KID   KID
	Value []byte
}

// The labels are those of RFC 9052 section 3.1 and RFC 9596.
type bodyHeader struct {
	Typ Typ `cbor:"16,keyasint"`
}

type signerHeader struct {
	Alg int64  `cbor:"1,keyasint"`
	KID []byte `cbor:"4,keyasint"`
}

type wireSign struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[int64]cbor.RawMessage
	Payload     []byte
	Signatures  []wireSignature
}

type wireSignature struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[int64]cbor.RawMessage
	Value       []byte
}

// ParseSigned strictly decodes a COSE_Sign of the kind want of at most max
// bytes. A COSE_Sign without signatures, as it stands between building and
// signing, parses: it reaches no threshold.
func ParseSigned(raw []byte, want Typ, max int) (*Signed, error) {
	if len(raw) > max {
		return nil, fmt.Errorf("parse %s: %w: %d bytes, at most %d", want, reason.TooLarge, len(raw), max)
	}
	body, ok := bytes.CutPrefix(raw, tagSign)
	if !ok {
		return nil, fmt.Errorf("parse %s: %w: not a tagged COSE_Sign", want, reason.Malformed)
	}
	var w wireSign
	if err := dcbor.Unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("parse %s: %w", want, err)
	}
	if len(w.Unprotected) != 0 {
		return nil, fmt.Errorf("parse %s: %w: unprotected headers", want, reason.Malformed)
	}
	var h bodyHeader
	if err := decodeHeader(w.Protected, &h); err != nil {
		return nil, fmt.Errorf("parse %s: %w", want, err)
	}
	if h.Typ != want {
		return nil, fmt.Errorf("parse %s: %w: this is a %s", want, reason.WrongKind, h.Typ)
	}
	if len(w.Signatures) > MaxSignatures {
		return nil, fmt.Errorf("parse %s: %w: %d signatures, at most %d", want, reason.TooLarge, len(w.Signatures), MaxSignatures)
	}
	s := &Signed{Typ: h.Typ, Payload: w.Payload}
	for i, ws := range w.Signatures {
		sig, err := parseSignature(ws)
		if err != nil {
			return nil, fmt.Errorf("parse %s: signature %d: %w", want, i, err)
		}
		if i > 0 && bytes.Compare(s.Signatures[i-1].KID[:], sig.KID[:]) >= 0 {
			return nil, fmt.Errorf("parse %s: %w: signatures not in strictly ascending order of kid", want, reason.Malformed)
		}
		s.Signatures = append(s.Signatures, sig)
	}
	return s, nil
}

func parseSignature(w wireSignature) (Signature, error) {
	if len(w.Unprotected) != 0 {
		return Signature{}, fmt.Errorf("%w: unprotected headers", reason.Malformed)
	}
	var h signerHeader
	if err := decodeHeader(w.Protected, &h); err != nil {
		return Signature{}, err
	}
	if len(h.KID) != KIDSize {
		return Signature{}, fmt.Errorf("%w: kid of %d bytes, want %d", reason.Malformed, len(h.KID), KIDSize)
	}
	if len(w.Value) == 0 {
		return Signature{}, fmt.Errorf("%w: empty signature", reason.Malformed)
	}
	if len(w.Value) > MaxSignatureSize {
		return Signature{}, fmt.Errorf("%w: %d bytes, at most %d", reason.TooLarge, len(w.Value), MaxSignatureSize)
	}
	return Signature{Alg: h.Alg, KID: KID(h.KID), Value: w.Value}, nil
}

// decodeHeader decodes a protected header that holds exactly the parameters of
// the struct v points to: with one more or one less it would not encode to raw
// again.
func decodeHeader(raw []byte, v any) error {
	if err := dcbor.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("protected header: %w", err)
	}
	return nil
}

// Encode returns the tagged COSE_Sign. More than MaxSignatures, which could not
// be parsed again, are refused with reason.TooLarge.
func (s *Signed) Encode() ([]byte, error) {
	if len(s.Signatures) > MaxSignatures {
		return nil, fmt.Errorf("encode %s: %w: %d signatures, at most %d", s.Typ, reason.TooLarge, len(s.Signatures), MaxSignatures)
	}
	w := wireSign{
		Protected:   marshal(bodyHeader{s.Typ}),
		Unprotected: map[int64]cbor.RawMessage{},
		Payload:     s.Payload,
		Signatures:  []wireSignature{},
	}
	for _, sig := range s.Signatures {
		w.Signatures = append(w.Signatures, wireSignature{
			Protected:   marshal(signerHeader{sig.Alg, sig.KID[:]}),
			Unprotected: map[int64]cbor.RawMessage{},
			Value:       sig.Value,
		})
	}
	body, err := dcbor.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", s.Typ, err)
	}
	return append(bytes.Clone(tagSign), body...), nil
}

// ToBeSigned returns the Sig_structure (RFC 9052 section 4.4) over which a key
// with that kid signs under algorithm alg.
func (s *Signed) ToBeSigned(alg int64, kid KID) []byte {
	return marshal([]any{
		"Signature",
		marshal(bodyHeader{s.Typ}),
		marshal(signerHeader{alg, kid[:]}),
		[]byte{},
		s.Payload,
	})
}

// Add inserts a signature at its place, replacing one with the same kid.
func (s *Signed) Add(sig Signature) {
	i := 0
	for i < len(s.Signatures) && bytes.Compare(s.Signatures[i].KID[:], sig.KID[:]) < 0 {
		i++
	}
	if i < len(s.Signatures) && s.Signatures[i].KID == sig.KID {
		s.Signatures[i] = sig
		return
	}
	s.Signatures = append(s.Signatures[:i], append([]Signature{sig}, s.Signatures[i:]...)...)
}

// marshal encodes values whose types cannot fail to encode.
func marshal(v any) []byte {
	b, err := dcbor.Marshal(v)
	if err != nil {
		panic("cose: " + err.Error())
	}
	return b
}
