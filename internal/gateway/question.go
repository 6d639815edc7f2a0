package gateway

import (
	"fmt"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// format is field 0 of questions and answers.
const format = 1

// A kind says what a question asks for.
type kind uint8

const (
	kindCheck    kind = 1
	kindReport   kind = 2
	kindManifest kind = 3
	kindKeyset   kind = 4
	kindKey      kind = 5
	kindImage    kind = 6
)

var kinds = map[kind]string{
	kindCheck: "check", kindReport: "report", kindManifest: "manifest",
	kindKeyset: "keyset", kindKey: "key", kindImage: "image",
}

func (k kind) String() string { return kinds[k] }

// A question is what a device asks (docs/spec/serial.md, section 3).
type question struct {
	Format  uint64 `cbor:"0,keyasint"`
	Number  uint32 `cbor:"1,keyasint"`
	Kind    kind   `cbor:"2,keyasint"`
	Most    uint32 `cbor:"3,keyasint,omitempty"` // bytes of data in the answer
	Digest  []byte `cbor:"4,keyasint,omitempty"`
	Type    string `cbor:"5,keyasint,omitempty"`
	Version uint32 `cbor:"6,keyasint,omitempty"`
	Offset  uint32 `cbor:"7,keyasint,omitempty"`
	Message []byte `cbor:"8,keyasint,omitempty"`
}

func decodeQuestion(body []byte) (question, error) {
	var q question
	if err := dcbor.UnmarshalPayload(body, format, &q); err != nil {
		return question{}, fmt.Errorf("decode question: %w", err)
	}
	return q, q.validate()
}

// validate refuses what the kind does not have, and names that are none: a path
// is made of the rest.
func (q question) validate() error {
	message := q.Kind == kindCheck || q.Kind == kindReport
	keyset := q.Kind == kindKeyset
	switch {
	case kinds[q.Kind] == "":
		return fmt.Errorf("question: kind %d: %w", q.Kind, trust.ErrUnsupported)
	case q.Most > maxData,
		message != (len(q.Message) > 0), len(q.Message) > trust.MaxMessage, message && q.Offset != 0,
		keyset != (q.Version > 0), keyset != (manifest.CheckName(q.Type) == nil), !keyset && q.Type != "",
		!message && !keyset != (len(q.Digest) == len(manifest.Digest{})), (message || keyset) && len(q.Digest) > 0:
		return fmt.Errorf("question: %w: not the fields of a question for a %s", trust.ErrInvalidField, q.Kind)
	}
	return nil
}

// path is where the server has what a question for an object asks for.
func (q question) path() string {
	switch q.Kind {
	case kindManifest:
		return fmt.Sprintf("/v1/manifest/%x", q.Digest)
	case kindKeyset:
		return fmt.Sprintf("/v1/keyset/%s/%d", q.Type, q.Version)
	case kindKey:
		return fmt.Sprintf("/v1/key/%x", q.Digest)
	default:
		return fmt.Sprintf("/v1/firmware/%x", q.Digest)
	}
}
