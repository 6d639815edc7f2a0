package cose

import "fmt"

// A Typ says what kind of object a COSE message is (RFC 9596). It is protected
// and mandatory on every object, so that one kind can never pass for another.
//
// The numbers stand for CoAP Content-Formats from the range that RFC 7252
// section 12.3 leaves to private experiments: three bytes where a media type
// would take forty (docs/adr/0003-typ-numbers.md).
type Typ uint64

// The kinds of object.
const (
	TypKeyset        Typ = 65101
	TypManifest      Typ = 65102
	TypCheckRequest  Typ = 65103
	TypCheckResponse Typ = 65104
	TypReport        Typ = 65105
	TypCheckpoint    Typ = 65106
)

// String returns the kind in words.
func (t Typ) String() string {
	switch t {
	case TypKeyset:
		return "keyset"
	case TypManifest:
		return "manifest"
	case TypCheckRequest:
		return "check request"
	case TypCheckResponse:
		return "check response"
	case TypReport:
		return "report"
	case TypCheckpoint:
		return "audit checkpoint"
	default:
		return fmt.Sprintf("typ %d", uint64(t))
	}
}
