// Package inspect explains any object of ours to people and machines: what
// kind it is, what each field says, and whether it verifies and against what.
//
// It looks at content, never at file names, and nothing it returns gives an
// object authority: that is what the verified types of package trust are for.
package inspect

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// MaxSize is the longest object that is explained, in bytes: the largest kind
// is the bundle.
const MaxSize = trust.MaxBundle

// ErrUnknown means that the content is no object of ours.
var ErrUnknown = errors.New("no object of ours")

// A Context is what an object is held against.
type Context struct {
	Ring    trust.KeyRing                                        // public keys at hand
	Name    func(trust.KeyID) string                             // what a key is called here; "" if it has no name
	Keysets func(deviceType string) []trust.VerifiedKeyset       // held keysets of a type, oldest first
	Device  func(deviceType, id string) (trust.DeviceKeys, bool) // keys of a device, if they are at hand
}

// A Verdict says how an object stood up to its checks.
type Verdict int

// The verdicts. The zero value is no approval.
const (
	Unchecked Verdict = iota // nothing here to check it with
	Refused
	Verified
)

func (v Verdict) String() string {
	switch v {
	case Verified:
		return "yes"
	case Refused:
		return "no"
	default:
		return "not checked"
	}
}

// A Result is an object explained.
type Result struct {
	Record  record.Record
	Verdict Verdict
	Err     error // why it was refused
}

// conclude adds the verdict as the record's last fields. against says what the
// object was held against, or what would be needed for it.
func (r *Result) conclude(v Verdict, err error, against string) {
	r.Verdict, r.Err = v, err
	r.Record.Add("verifies", v)
	if err != nil {
		r.Record.Add("refused because", err.Error())
	}
	r.Record.Add("against", against)
}

// A kind is one kind of object: whether data looks like it, and the explainer.
type kind struct {
	looksLike func(data []byte) bool
	explain   func(data []byte, c Context) (Result, error)
}

func kinds() []kind {
	return []kind{
		{func(d []byte) bool { return bytes.Contains(d, []byte("-----BEGIN ")) }, explainPEM},
		{func(d []byte) bool { return bytes.HasPrefix(d, []byte{0xd8, 98}) }, explainSigned},
		{func(d []byte) bool { return bytes.HasPrefix(d, []byte{0xd1}) }, explainMessage},
		{func(d []byte) bool { return bytes.HasPrefix(d, []byte("{")) }, explainDocument},
		{isMap, explainMap},
		{func(d []byte) bool {
			return bytes.HasPrefix(d, []byte{0x30, 0x82}) || bytes.HasPrefix(d, []byte{0x30, 0x2a})
		}, explainDER},
		{func(d []byte) bool { return len(d) == trust.BareSignatureSize }, explainBare},
		{func(d []byte) bool { return len(d) == sha256.Size }, explainBareMAC},
	}
}

// Object explains data. The error says that it is none of ours, or damaged; an
// object that is whole but does not verify is no error but a Result that says so.
func Object(data []byte, c Context) (Result, error) {
	if len(data) > MaxSize {
		return Result{}, fmt.Errorf("%w: %d bytes, the longest have %d", ErrUnknown, len(data), MaxSize)
	}
	if len(data) == 0 {
		return Result{}, fmt.Errorf("%w: it is empty", ErrUnknown)
	}
	// What looks like a kind and is none may be a bare signature: one in eight
	// begins like a CBOR map. If nothing explains it, the first error says why.
	var first error
	for _, k := range kinds() {
		if !k.looksLike(data) {
			continue
		}
		r, err := k.explain(data, c)
		if err == nil {
			return r, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("%w: %d bytes that begin with %x", ErrUnknown, len(data), data[:min(len(data), 8)])
	}
	return Result{}, first
}

// start begins a record with what every object has.
func start(kind string, data []byte) record.Record {
	return record.Record{
		{Name: "kind", Value: kind},
		{Name: "size", Value: len(data), Note: "bytes"},
		{Name: "sha256", Value: manifest.Digest(sha256.Sum256(data))},
	}
}

func explainSigned(data []byte, c Context) (Result, error) {
	// The kind stands in the protected header; trying each is how the strict
	// parser is asked for it.
	for typ, explain := range map[cose.Typ]func([]byte, *cose.Signed, Context) (Result, error){
		cose.TypKeyset:     explainKeyset,
		cose.TypManifest:   explainManifest,
		cose.TypCheckpoint: explainCheckpoint,
	} {
		obj, err := cose.ParseSigned(data, typ, trust.MaxManifest)
		if errors.Is(err, trust.ErrWrongKind) {
			continue
		}
		if err != nil {
			return Result{}, err
		}
		return explain(data, obj, c)
	}
	return Result{}, fmt.Errorf("signed object: %w", trust.ErrWrongKind)
}

// isMap reports whether data begins like a CBOR map.
func isMap(data []byte) bool { return len(data) > 0 && data[0]>>5 == 5 }

// explainMap explains what is a bare CBOR map: a bundle, which has a format
// version under 0, or a COSE_Key, which has a key type under 1.
func explainMap(data []byte, c Context) (Result, error) {
	if bytes.HasPrefix(data[1:], []byte{0x00}) {
		return explainBundle(data, c)
	}
	k, err := trust.ParseCOSEKey(data)
	if err != nil {
		return Result{}, err
	}
	return explainPublicKey("public key (COSE_Key)", data, k, "", c), nil
}

// explainCheckpoint shows an audit checkpoint as it is: its key is the
// server's, and "ota audit verify" holds it against the log.
func explainCheckpoint(data []byte, obj *cose.Signed, c Context) (Result, error) {
	r := Result{Record: start(obj.Typ.String(), data)}
	fields, err := explainFields(obj.Payload, map[int64]fieldName{
		0: {name: "format"}, 1: {name: "record"}, 2: {name: "record hash"}, 3: {"time", unixMilli},
	})
	if err != nil {
		return Result{}, err
	}
	r.Record = append(r.Record, fields...)
	r.Record.Add("signatures", signatures(obj, c))
	r.conclude(Unchecked, nil, "the server's audit log: ota audit verify")
	return r, nil
}

// explainFields shows a payload field by field, with the names known.
func explainFields(payload []byte, names map[int64]fieldName) (record.Record, error) {
	var values map[int64]any
	if err := dcbor.Unmarshal(payload, &values); err != nil {
		return nil, err
	}
	var r record.Record
	for key := int64(0); len(values) > 0; key++ {
		v, ok := values[key]
		if !ok {
			if key > maxFieldKey {
				return r, fmt.Errorf("%w: a field above %d", trust.ErrUnsupported, maxFieldKey)
			}
			continue
		}
		delete(values, key)
		name, ok := names[key]
		if !ok {
			name = fieldName{name: fmt.Sprintf("field %d", key)}
		}
		if name.show != nil {
			v = name.show(v)
		}
		r.Add(name.name, v)
	}
	return r, nil
}

// maxFieldKey bounds the keys that are shown.
const maxFieldKey = 1024

// A fieldName says how a field is called and, if not as it is, shown.
type fieldName struct {
	name string
	show func(any) any
}
