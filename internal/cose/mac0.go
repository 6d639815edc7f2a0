package cose

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/internal/reason"
)

// AlgHMAC256 is HMAC 256/256 (RFC 9053 section 3.1), the only MAC.
const AlgHMAC256 = 5

var tagMac0 = []byte{0xd1}

// Heads of what stands around a MAC'ed message.
const (
	arrayOf4   = 0x84
	emptyMap   = 0xa0
	emptyBytes = 0x40
)

// A Maced is a parsed COSE_Mac0. Its payload is not to be used before Verify
// holds, but for what finds the key.
type Maced struct {
	Typ     Typ
	KID     KID
	Payload []byte
	header  []byte // protected, as it is transferred
	tag     []byte
}

type macHeader struct {
	Alg int64  `cbor:"1,keyasint"`
	KID []byte `cbor:"4,keyasint"`
	Typ Typ    `cbor:"16,keyasint"`
}

type wireMac0 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[int64]cbor.RawMessage
	Payload     []byte
	Tag         []byte
}

// Seal returns the tagged COSE_Mac0 of payload under key.
func Seal(typ Typ, kid KID, key, payload []byte) []byte {
	m := Maced{Typ: typ, KID: kid, Payload: payload}
	m.header = appendMacHeader(make([]byte, 0, maxMacHeader), kid, typ)
	raw := make([]byte, 0, len(m.header)+len(payload)+sha256.Size+16)
	raw = dcbor.AppendBytes(append(raw, tagMac0[0], arrayOf4), m.header)
	raw = dcbor.AppendBytes(append(raw, emptyMap), payload)
	sum := m.mac(key)
	return dcbor.AppendBytes(raw, sum[:])
}

// Of the encoding of a macHeader: the greatest length, and where the kid stands.
const (
	maxMacHeader = 24
	macKIDAt     = 5
)

// appendMacHeader is the encoding of a macHeader, without a general encoder.
func appendMacHeader(dst []byte, kid KID, typ Typ) []byte {
	dst = dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendMap(dst, 3), 1), AlgHMAC256)
	dst = dcbor.AppendBytes(dcbor.AppendUint(dst, 4), kid[:])
	return dcbor.AppendUint(dcbor.AppendUint(dst, 16), uint64(typ))
}

// IsMac0 reports whether raw begins like a tagged COSE_Mac0.
func IsMac0(raw []byte) bool { return bytes.HasPrefix(raw, tagMac0) }

// ParseMac0 strictly decodes a COSE_Mac0 of the kind want of at most max bytes.
func ParseMac0(raw []byte, want Typ, max int) (*Maced, error) {
	if len(raw) > max {
		return nil, fmt.Errorf("parse %s: %w: %d bytes, at most %d", want, reason.TooLarge, len(raw), max)
	}
	body, ok := bytes.CutPrefix(raw, tagMac0)
	if !ok {
		return nil, fmt.Errorf("parse %s: %w: not a tagged COSE_Mac0", want, reason.Malformed)
	}
	if m, ok := readMac0(body, want); ok {
		return m, nil
	}
	return decodeMac0(body, want)
}

// readMac0 reads the one encoding that a Mac0 of that kind can have. Of anything
// else decodeMac0 says what is wrong.
func readMac0(body []byte, want Typ) (*Maced, bool) {
	r := dcbor.NewReader(body)
	if r.Array() != 4 {
		return nil, false
	}
	m := &Maced{Typ: want, header: r.Bytes()}
	if r.Map() != 0 {
		return nil, false
	}
	m.Payload, m.tag = r.Bytes(), r.Bytes()
	if !r.Done() || len(m.tag) != sha256.Size {
		return nil, false
	}
	if len(m.header) < macKIDAt+KIDSize {
		return nil, false
	}
	m.KID = KID(m.header[macKIDAt:])
	var again [maxMacHeader]byte
	return m, bytes.Equal(appendMacHeader(again[:0], m.KID, want), m.header)
}

func decodeMac0(body []byte, want Typ) (*Maced, error) {
	var w wireMac0
	if err := dcbor.Unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("parse %s: %w", want, err)
	}
	if len(w.Unprotected) != 0 {
		return nil, fmt.Errorf("parse %s: %w: unprotected headers", want, reason.Malformed)
	}
	var h macHeader
	if err := decodeHeader(w.Protected, &h); err != nil {
		return nil, fmt.Errorf("parse %s: %w", want, err)
	}
	if h.Typ != want {
		return nil, fmt.Errorf("parse %s: %w: this is a %s", want, reason.WrongKind, h.Typ)
	}
	if h.Alg != AlgHMAC256 || len(h.KID) != KIDSize || len(w.Tag) != sha256.Size {
		return nil, fmt.Errorf("parse %s: %w: not HMAC 256/256 with a kid of %d bytes", want, reason.Malformed, KIDSize)
	}
	return &Maced{Typ: h.Typ, KID: KID(h.KID), Payload: w.Payload, header: w.Protected, tag: w.Tag}, nil
}

// Verify checks the MAC in constant time. Its error is reason.BadMAC.
func (m *Maced) Verify(key []byte) error {
	if sum := m.mac(key); !hmac.Equal(m.tag, sum[:]) {
		return fmt.Errorf("verify %s: %w", m.Typ, reason.BadMAC)
	}
	return nil
}

// macSpace is room for the MAC_structure of a message of the usual size. A
// longer one costs an allocation.
const macSpace = 512

// mac computes the tag over the MAC_structure of RFC 9052 section 6.3.
func (m *Maced) mac(key []byte) [sha256.Size]byte {
	structure := make([]byte, hmacPad, hmacPad+macSpace)
	structure = append(append(structure, arrayOf4, 0x64), "MAC0"...)
	structure = dcbor.AppendBytes(structure, m.header)
	structure = dcbor.AppendBytes(append(structure, emptyBytes), m.Payload)
	return hmac256(key, structure)
}
