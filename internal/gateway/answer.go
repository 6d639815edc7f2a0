package gateway

import (
	"errors"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/trust"
)

// A status says what became of a question.
type status uint8

const (
	statusDone        status = 0
	statusBad         status = 1
	statusNotFound    status = 2
	statusRefused     status = 3
	statusUnavailable status = 4
	statusTooLarge    status = 5
)

// An answer is what the gateway answers (docs/spec/serial.md, section 3).
type answer struct {
	Format uint64       `cbor:"0,keyasint"`
	To     uint32       `cbor:"1,keyasint"` // crc of the question's frame
	Status status       `cbor:"2,keyasint"`
	Total  uint32       `cbor:"3,keyasint,omitempty"` // bytes of the whole object
	Data   []byte       `cbor:"4,keyasint,omitempty"`
	Reason trust.Reason `cbor:"5,keyasint,omitempty"`
	Retry  uint32       `cbor:"6,keyasint,omitempty"` // seconds
}

func (a answer) encode() []byte {
	body, err := dcbor.Marshal(a)
	if err != nil {
		panic(err) // numbers and bytes always encode
	}
	return encodeFrame(body)
}

// A failure is why a question has no data for an answer.
type failure struct {
	status status
	total  uint32 // of statusTooLarge and statusBad
	reason trust.Reason
	retry  time.Duration
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func failed(s status, text string, args ...any) *failure {
	return &failure{status: s, err: fmt.Errorf(text, args...)}
}

// answerTo makes the answer that tells an error. What is no failure is one of
// the gateway's own, and passes.
func answerTo(crc uint32, err error) answer {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{status: statusUnavailable}
	}
	return answer{
		Format: format, To: crc, Status: f.status, Total: f.total, Reason: f.reason, Retry: uint32(f.retry / time.Second),
	}
}
