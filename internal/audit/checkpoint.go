package audit

import (
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/trust"
)

// CheckpointFormat is the format version of a checkpoint (field 0).
const CheckpointFormat = 1

// MaxCheckpoint is the longest signed checkpoint, in bytes.
const MaxCheckpoint = 1024

// A Checkpoint states what the log's newest record was at a time. It is worth
// what the signature and the place where it is kept are worth.
type Checkpoint struct {
	Seq  int64 // of the newest record
	Hash Hash  // of that record
	Time time.Time
}

type checkpointPayload struct {
	Format uint64 `cbor:"0,keyasint"`
	Seq    int64  `cbor:"1,keyasint"`
	Hash   []byte `cbor:"2,keyasint"`
	TimeMS int64  `cbor:"3,keyasint"`
}

// SignCheckpoint returns c as a COSE_Sign with one signature.
func SignCheckpoint(c Checkpoint, signer trust.Signer) ([]byte, error) {
	payload, err := dcbor.Marshal(checkpointPayload{CheckpointFormat, c.Seq, c.Hash[:], c.Time.UnixMilli()})
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint: %w", err)
	}
	pub := signer.Public()
	obj := &cose.Signed{Typ: cose.TypCheckpoint, Payload: payload}
	message := obj.ToBeSigned(int64(pub.Algorithm()), pub.ID().KID())
	value, err := signer.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint of record %d: %w", c.Seq, err)
	}
	if err := pub.Verify(message, value); err != nil {
		return nil, fmt.Errorf("sign checkpoint of record %d: the signer's answer is not by key %s: %w", c.Seq, pub.ID(), err)
	}
	obj.Add(cose.Signature{Alg: int64(pub.Algorithm()), KID: pub.ID().KID(), Value: value})
	return obj.Encode()
}

// OpenCheckpoint verifies a checkpoint with the audit key and decodes it.
func OpenCheckpoint(raw []byte, key trust.PublicKey) (Checkpoint, error) {
	obj, err := cose.ParseSigned(raw, cose.TypCheckpoint, MaxCheckpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	for _, sig := range obj.Signatures {
		if sig.KID != key.ID().KID() || sig.Alg != int64(key.Algorithm()) {
			continue
		}
		if err := key.Verify(obj.ToBeSigned(sig.Alg, sig.KID), sig.Value); err != nil {
			return Checkpoint{}, fmt.Errorf("verify checkpoint with key %s: %w", key.ID(), err)
		}
		return decodeCheckpoint(obj.Payload)
	}
	return Checkpoint{}, fmt.Errorf("verify checkpoint: %w: no signature by key %s", trust.ErrNotEnoughSigners, key.ID())
}

// ParseCheckpoint decodes a checkpoint without verifying it, for showing it.
func ParseCheckpoint(raw []byte) (Checkpoint, error) {
	obj, err := cose.ParseSigned(raw, cose.TypCheckpoint, MaxCheckpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	return decodeCheckpoint(obj.Payload)
}

func decodeCheckpoint(payload []byte) (Checkpoint, error) {
	var w checkpointPayload
	if err := dcbor.UnmarshalPayload(payload, CheckpointFormat, &w); err != nil {
		return Checkpoint{}, fmt.Errorf("decode checkpoint: %w", err)
	}
	if w.Seq < 1 || w.Seq == math.MaxInt64 || w.TimeMS < 0 || len(w.Hash) != sha256.Size {
		return Checkpoint{}, fmt.Errorf("decode checkpoint: %w: seq %d, time %d, hash of %d bytes",
			trust.ErrInvalidField, w.Seq, w.TimeMS, len(w.Hash))
	}
	return Checkpoint{Seq: w.Seq, Hash: Hash(w.Hash), Time: time.UnixMilli(w.TimeMS).UTC()}, nil
}
