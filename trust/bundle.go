package trust

import (
	"bytes"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/dcbor"
)

// BundleFormat is the format version of a bundle (field 0).
const BundleFormat = 1

// MaxBundle is the longest bundle, in bytes.
const MaxBundle = 256 << 10

// MaxReleaseDocument is the longest release document, in bytes.
const MaxReleaseDocument = 64 << 10

// A Bundle carries signed objects and the public keys to check them with from
// one place to another: a keyset on its way between the holders of the roots,
// a finished release on its way to a repository. It is signed by nobody;
// everything in it is checked by whoever opens it.
type Bundle struct {
	Keysets         [][]byte // signed keysets, oldest first
	Keys            KeyRing
	Manifest        []byte // signed manifest; may be nil
	ReleaseDocument []byte // of Manifest; may be nil
}

type bundlePayload struct {
	Format          uint64   `cbor:"0,keyasint"`
	Keysets         [][]byte `cbor:"1,keyasint,omitempty"`
	Keys            [][]byte `cbor:"2,keyasint,omitempty"`
	Manifest        []byte   `cbor:"3,keyasint,omitempty"`
	ReleaseDocument []byte   `cbor:"4,keyasint,omitempty"`
}

// Encode returns the bundle in deterministic CBOR.
func (b Bundle) Encode() ([]byte, error) {
	if len(b.Keysets) > dcbor.MaxElements || len(b.Keys) > dcbor.MaxElements {
		return nil, fmt.Errorf("encode bundle: %w: %d keysets and %d keys, at most %d of each",
			ErrTooLarge, len(b.Keysets), len(b.Keys), dcbor.MaxElements)
	}
	if len(b.ReleaseDocument) > MaxReleaseDocument {
		return nil, fmt.Errorf("encode bundle: release document: %w: %d bytes, at most %d", ErrTooLarge, len(b.ReleaseDocument), MaxReleaseDocument)
	}
	w := bundlePayload{Format: BundleFormat, Keysets: b.Keysets, Manifest: b.Manifest, ReleaseDocument: b.ReleaseDocument}
	for _, k := range b.Keys.Keys() {
		w.Keys = append(w.Keys, k.COSEKey())
	}
	raw, err := dcbor.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	if len(raw) > MaxBundle {
		return nil, fmt.Errorf("encode bundle: %w: %d bytes, at most %d", ErrTooLarge, len(raw), MaxBundle)
	}
	return raw, nil
}

// DecodeBundle strictly decodes a bundle. What it carries is still unverified.
func DecodeBundle(raw []byte) (Bundle, error) {
	if len(raw) > MaxBundle {
		return Bundle{}, fmt.Errorf("decode bundle: %w: %d bytes, at most %d", ErrTooLarge, len(raw), MaxBundle)
	}
	var w bundlePayload
	if err := dcbor.UnmarshalPayload(raw, BundleFormat, &w); err != nil {
		return Bundle{}, fmt.Errorf("decode bundle: %w", err)
	}
	if len(w.ReleaseDocument) > MaxReleaseDocument {
		return Bundle{}, fmt.Errorf("decode bundle: release document: %w: at most %d bytes", ErrTooLarge, MaxReleaseDocument)
	}
	b := Bundle{Keysets: w.Keysets, Keys: KeyRing{}, Manifest: w.Manifest, ReleaseDocument: w.ReleaseDocument}
	var last KeyID
	for _, raw := range w.Keys {
		k, err := ParseCOSEKey(raw)
		if err != nil {
			return Bundle{}, fmt.Errorf("decode bundle: %w", err)
		}
		if bytes.Compare(k.id[:], last[:]) <= 0 {
			return Bundle{}, fmt.Errorf("decode bundle: keys: %w: not in strictly ascending order of their ids", ErrInvalidField)
		}
		b.Keys[k.ID()], last = k, k.ID()
	}
	return b, nil
}
