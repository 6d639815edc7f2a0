// Package reason holds the one table of why a device, or anything acting for
// one, refuses an object. The numbers are wire format: a device reports them,
// the C library uses the same ones, and they are never reused
// (docs/spec/reasons.md).
//
// A Reason is an error, so that callers write errors.Is(err, trust.ErrWrongEpoch)
// and the code that reports to the server writes reason.Of(err).
package reason

import (
	"errors"
	"fmt"
)

// A Reason says why something was refused. The zero value means nothing was.
type Reason uint8

// The reasons, in the order in which the checks of docs/spec/objects.md run.
const (
	None              Reason = 0
	Malformed         Reason = 1  // not deterministic CBOR, wrong structure, or trailing bytes
	TooLarge          Reason = 2  // over a limit of docs/spec/objects.md
	WrongKind         Reason = 3  // typ names another kind of object
	Unsupported       Reason = 4  // format version, critical field, flag or encoding not known here
	InvalidField      Reason = 5  // a field is missing or outside its bounds
	NotEnoughSigners  Reason = 6  // fewer valid signatures than the threshold
	BadSignature      Reason = 7  // a signature by a listed key does not verify
	WrongEpoch        Reason = 8  // sequence and signing key belong to different key epochs
	WrongVendor       Reason = 9  // for another vendor
	WrongType         Reason = 10 // for another device type
	WrongHardware     Reason = 11 // not for this hardware revision
	WrongComponent    Reason = 12 // for another component
	KeysetTooOld      Reason = 13 // the manifest needs a newer keyset than the one held
	KeysetNotNewer    Reason = 14 // a keyset whose version does not rise
	Expired           Reason = 15 // past the manifest's expiry
	OldSequence       Reason = 16 // sequence not above the installed one
	OldVersion        Reason = 17 // semantic version below the installed one, no downgrade flag
	NotApplicable     Reason = 18 // a downgrade that does not name the installed sequence
	BelowFloor        Reason = 19 // security counter below the security floor
	ImageSize         Reason = 20 // image empty or larger than the slot
	ImageDigest       Reason = 21 // the image does not hash to the signed digest
	RejectedBefore    Reason = 22 // this image was tried, and was rejected or reverted
	BadMAC            Reason = 23 // a message's MAC does not verify under this device's key
	WrongNonce        Reason = 24 // an answer to another question, or a replayed message
	WrongDevice       Reason = 25 // an answer or report of another device
	Unauthenticated   Reason = 26 // a keyed device was offered an unauthenticated answer
	NotNamed          Reason = 27 // the manifest is not the one the response named
	NoDeviceKey       Reason = 28 // the counter or the key of the device is lost
	OutsideWindow     Reason = 29 // own rollback outside the signed rollback window
	NothingRetained   Reason = 30 // own rollback without a retained, once confirmed image
	Storage           Reason = 31 // reading or writing device storage failed
	Transport         Reason = 32 // the server could not be reached or broke off
	HealthCheck       Reason = 33 // the new image ran and its health check failed
	TriesExhausted    Reason = 34 // the new image did not confirm within its boots
	WatchdogReset     Reason = 35 // the watchdog ended the trial
	OperatorRequested Reason = 36 // the operator of the device asked for it
	Internal          Reason = 37 // a defect, or anything not in this table
)

var texts = [...]string{
	None:              "none",
	Malformed:         "malformed object",
	TooLarge:          "object too large",
	WrongKind:         "another kind of object",
	Unsupported:       "unsupported format",
	InvalidField:      "invalid field",
	NotEnoughSigners:  "not enough valid signatures",
	BadSignature:      "signature does not verify",
	WrongEpoch:        "sequence is not of the signing key's epoch",
	WrongVendor:       "for another vendor",
	WrongType:         "for another device type",
	WrongHardware:     "for other hardware revisions",
	WrongComponent:    "for another component",
	KeysetTooOld:      "needs a newer keyset",
	KeysetNotNewer:    "keyset version does not rise",
	Expired:           "expired",
	OldSequence:       "sequence does not rise",
	OldVersion:        "version is lower and no downgrade is signed",
	NotApplicable:     "downgrade does not apply to the installed release",
	BelowFloor:        "security counter below the security floor",
	ImageSize:         "image size not acceptable",
	ImageDigest:       "image does not match the signed digest",
	RejectedBefore:    "image was rejected before",
	BadMAC:            "message authentication failed",
	WrongNonce:        "answer to another question",
	WrongDevice:       "message of another device",
	Unauthenticated:   "unauthenticated answer to a device with a key",
	NotNamed:          "manifest is not the one the response named",
	NoDeviceKey:       "device key or counter is lost",
	OutsideWindow:     "outside the signed rollback window",
	NothingRetained:   "no confirmed image is retained",
	Storage:           "device storage failed",
	Transport:         "transport failed",
	HealthCheck:       "health check failed",
	TriesExhausted:    "boot tries exhausted",
	WatchdogReset:     "watchdog ended the trial",
	OperatorRequested: "operator requested",
	Internal:          "internal error",
}

// All returns every reason but None, in numeric order.
func All() []Reason {
	all := make([]Reason, 0, len(texts)-1)
	for r := Malformed; int(r) < len(texts); r++ {
		all = append(all, r)
	}
	return all
}

// Error returns the reason in words.
func (r Reason) Error() string {
	if int(r) < len(texts) {
		return texts[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Named returns a sentinel error with words of its own, for callers that want to
// tell it from others of its reason.
func Named(words string, r Reason) error { return &named{words, r} }

type named struct {
	words  string
	reason Reason
}

func (n *named) Error() string { return n.words }
func (n *named) Unwrap() error { return n.reason }

// Of returns the reason inside err: None for nil, Internal if err carries none.
func Of(err error) Reason {
	if err == nil {
		return None
	}
	var r Reason
	if errors.As(err, &r) {
		return r
	}
	return Internal
}
