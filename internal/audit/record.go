package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/secure-ota/secure-ota/internal/dcbor"
)

// A Hash is the SHA-256 that links a record to the one before it.
type Hash [sha256.Size]byte

// String returns the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the hash in hex.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads 64 lower case hex digits.
func (h *Hash) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(h) || hex.EncodeToString(raw) != string(text) {
		return fmt.Errorf("parse hash %q: want 64 lower case hex digits", text)
	}
	*h = Hash(raw)
	return nil
}

// A Record is an entry in its place in the chain.
type Record struct {
	Seq  int64     // from 1, without gaps
	Time time.Time // UTC, whole milliseconds
	Entry
	PrevHash Hash // of the record before; zero in the first
	Hash     Hash // of this record
}

// hashed is what the hash of a record covers: everything but the hash.
type hashed struct {
	_        struct{} `cbor:",toarray"`
	PrevHash []byte
	Seq      int64
	TimeMS   int64
	Actor    string
	Action   string
	Object   string
	Address  string
	Before   []byte
	After    []byte
}

// Follow returns the record of e that follows prev, the zero Record at the
// start of the chain. It fails if e or the time is outside its bounds.
func Follow(prev Record, at time.Time, e Entry) (Record, error) {
	if err := e.Normalize(); err != nil {
		return Record{}, err
	}
	if at.UnixMilli() < 0 || at.UTC().Year() > 9999 { // an export could not spell it
		return Record{}, fmt.Errorf("%w: time %s: set the clock", ErrInvalid, at.UTC())
	}
	r := Record{Seq: prev.Seq + 1, Time: time.UnixMilli(at.UnixMilli()).UTC(), Entry: e, PrevHash: prev.Hash}
	r.Hash = r.ComputeHash()
	return r, nil
}

// ComputeHash returns the hash that r should have (docs/spec/audit.md).
func (r *Record) ComputeHash() Hash {
	raw, err := dcbor.Marshal(hashed{
		PrevHash: r.PrevHash[:], Seq: r.Seq, TimeMS: r.Time.UnixMilli(),
		Actor: r.Actor, Action: r.Action, Object: r.Object, Address: r.Address,
		Before: bstr(r.Before), After: bstr(r.After),
	})
	if err != nil {
		panic("audit: " + err.Error()) // integers, text and bytes encode
	}
	return sha256.Sum256(raw)
}

// bstr never returns nil, which would encode as null.
func bstr(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// String returns the record on one line that is safe on a terminal and in a
// log: whatever is not printable is escaped.
func (r Record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %s %s", r.Seq, r.Time.UTC().Format(timeLayout), printable(r.Actor), printable(r.Action))
	for _, part := range []struct{ label, text string }{
		{"", r.Object}, {"from ", r.Address}, {"before ", string(r.Before)}, {"after ", string(r.After)},
	} {
		if part.text != "" {
			b.WriteString(" " + part.label + printable(part.text))
		}
	}
	return b.String()
}

func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
