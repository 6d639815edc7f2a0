// Package dcbor encodes and strictly decodes the CBOR of all signed objects:
// deterministic encoding as in RFC 8949 section 4.2.1, and of that only
// unsigned integers, negative integers down to -2^63, byte strings, UTF-8 text,
// booleans, arrays, and maps whose keys are integers or strings. Floats, null,
// undefined and tags inside a payload are refused, so are indefinite lengths,
// duplicate keys, longer than shortest heads, unsorted maps and trailing bytes.
//
// One meaning has one encoding. That is what makes "any changed bit is
// refused" and "the hash of the transferred bytes" true statements.
package dcbor

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/secure-ota/secure-ota/internal/reason"
)

// Limits that hold for every object whatever its kind. The size limits of each
// kind stand with the kind.
const (
	MaxDepth    = 6  // nested arrays and maps
	MaxElements = 64 // elements of one array, pairs of one map
)

// FirstUncritical is the lowest map key that a reader may skip without
// knowing it. Keys below are critical.
const FirstUncritical = 128

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  MaxDepth,
		MaxArrayElements: MaxElements,
		MaxMapPairs:      MaxElements,
		UTF8:             cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal returns the deterministic encoding of v.
func Marshal(v any) ([]byte, error) { return encMode.Marshal(v) }

// Unmarshal strictly decodes one item into v, which is not a payload struct
// (see UnmarshalPayload). What was decoded must encode to data again: the
// decoder would otherwise take an array of small integers for a byte string,
// and anybody could rewrite parts of a signed object that no signature covers
// as they are transferred.
func Unmarshal(data []byte, v any) error {
	if err := Check(data); err != nil {
		return err
	}
	if err := decMode.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode CBOR: %w: %v", reason.Malformed, err)
	}
	again, err := encMode.Marshal(v)
	if err != nil || !bytes.Equal(again, data) {
		return fmt.Errorf("decode CBOR: %w: an item of another type or fields beyond those of %T", reason.Malformed, v)
	}
	return nil
}

// Peek decodes the fields of a payload that the struct v points to has, and
// ignores others: for finding the key that an object claims to be made with,
// before it is verified and decoded in earnest.
func Peek(data []byte, v any) error {
	if err := Check(data); err != nil {
		return err
	}
	err := decMode.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	if _, err := decodeMap(data); err != nil {
		return err
	}
	return fmt.Errorf("decode payload: %w: %v", reason.InvalidField, err)
}

func decodeMap(data []byte) (map[int64]cbor.RawMessage, error) {
	var fields map[int64]cbor.RawMessage
	if err := decMode.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("decode payload: %w: not a map with integer keys that fit 64 bits with a sign", reason.Malformed)
	}
	return fields, nil
}

// UnmarshalPayload strictly decodes a payload map with integer keys into the
// struct v points to, whose fields carry `cbor:"N,keyasint"` tags, with
// omitempty for those that may be absent. Field 0 is the format version and
// must equal format.
//
// An unknown key below FirstUncritical, or a negative one, is refused with
// reason.Unsupported; a field that is missing, ill-typed, or present with the
// default that its absence means, with reason.InvalidField.
func UnmarshalPayload(data []byte, format uint64, v any) error {
	if err := Check(data); err != nil {
		return err
	}
	// What encodes to the very bytes it was decoded from has every field it
	// must have and none beyond; only the format is left to be looked at.
	if format < 24 && bytes.HasPrefix(data[1:], []byte{0, byte(format)}) && decMode.Unmarshal(data, v) == nil {
		if again, err := encMode.Marshal(v); err == nil && bytes.Equal(again, data) {
			return nil
		}
	}
	reflect.ValueOf(v).Elem().SetZero()
	return unmarshalFields(data, format, v)
}

// unmarshalFields is UnmarshalPayload field by field: for payloads with fields
// that this reader does not know, and for saying what is wrong with one.
func unmarshalFields(data []byte, format uint64, v any) error {
	raw, err := decodeMap(data)
	if err != nil {
		return err
	}
	var got uint64
	if err := decMode.Unmarshal(raw[0], &got); err != nil {
		return fmt.Errorf("decode payload: %w: no format version", reason.InvalidField)
	}
	if got != format {
		return fmt.Errorf("decode payload: %w: format version %d, this reader knows %d", reason.Unsupported, got, format)
	}
	known, required := fields(reflect.TypeOf(v).Elem())
	for k := range raw {
		if !known[k] && k < FirstUncritical {
			return fmt.Errorf("decode payload: %w: unknown critical field %d", reason.Unsupported, k)
		}
	}
	for _, k := range required {
		if _, ok := raw[k]; !ok {
			return fmt.Errorf("decode payload: %w: field %d is missing", reason.InvalidField, k)
		}
	}
	if err := decMode.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode payload: %w: %v", reason.InvalidField, err)
	}
	return oneEncoding(data, raw, v)
}

// oneEncoding refuses a payload whose known fields are not exactly what v
// encodes to: one that spells out the default of a field that may be absent,
// or has an array of small integers for a byte string. Without it one meaning
// would have two encodings.
func oneEncoding(data []byte, got map[int64]cbor.RawMessage, v any) error {
	encoded, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode payload again: %w", err)
	}
	if bytes.Equal(encoded, data) {
		return nil
	}
	want, err := decodeMap(encoded)
	if err != nil {
		return err
	}
	for k, field := range got {
		again, known := want[k]
		if k >= FirstUncritical || known && bytes.Equal(field, again) {
			continue
		}
		if known {
			return fmt.Errorf("decode payload: %w: field %d is of another type", reason.InvalidField, k)
		}
		return fmt.Errorf("decode payload: %w: field %d holds its default and must be absent", reason.InvalidField, k)
	}
	return nil
}

// fields reads the keys of a payload struct from its tags.
func fields(t reflect.Type) (known map[int64]bool, required []int64) {
	known = make(map[int64]bool, t.NumField())
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("cbor")
		num, opts, _ := strings.Cut(tag, ",")
		k, err := strconv.ParseInt(num, 10, 64)
		if err != nil {
			panic("dcbor: field without an integer key: " + t.Field(i).Name)
		}
		known[k] = true
		if !strings.Contains(opts, "omitempty") {
			required = append(required, k)
		}
	}
	return known, required
}
