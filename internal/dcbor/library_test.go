package dcbor_test

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"

	"github.com/secure-ota/secure-ota/internal/dcbor"
)

// libraryVerdict is the second opinion on Check: decode the item with the
// library at its strictest, look at the types, and encode it again.
func libraryVerdict(data []byte) bool {
	decoder, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: dcbor.MaxDepth, MaxArrayElements: dcbor.MaxElements, MaxMapPairs: dcbor.MaxElements, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	encoder, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	var v any
	if decoder.Unmarshal(data, &v) != nil || !typesInside(v) {
		return false
	}
	again, err := encoder.Marshal(v)
	return err == nil && bytes.Equal(again, data)
}

func typesInside(v any) bool {
	switch v := v.(type) {
	case uint64, int64, bool, string, []byte:
		return true
	case []any:
		for _, e := range v {
			if !typesInside(e) {
				return false
			}
		}
		return true
	case map[any]any:
		for k, e := range v {
			switch k.(type) {
			case uint64, int64, string, cbor.ByteString:
			default:
				return false
			}
			if !typesInside(e) {
				return false
			}
		}
		return true
	}
	return false
}
