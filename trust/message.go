package trust

import (
	"fmt"
	"unicode/utf8"

	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/internal/dcbor"
	"github.com/secure-ota/secure-ota/manifest"
)

// MessageFormat is the format version of check requests, check responses and
// reports (field 0).
const MessageFormat = 1

// MaxMessage is the longest check request, check response or report, in bytes.
const MaxMessage = 1024

// MaxDetail is the longest detail of a report, in bytes.
const MaxDetail = 256

// A BootState is what a device's boot stage says of the running image.
type BootState uint8

// The boot states.
const (
	BootConfirmed BootState = 0 // the running image proved itself
	BootTrial     BootState = 1 // it has yet to be confirmed
	BootReverted  BootState = 2 // the previous trial failed, this is the image before it
)

// Capabilities of a device, in its check request.
const (
	CapNoRevert uint8 = 1 << 0 // no image is retained: a bad release cannot revert by itself
)

// A CheckRequest asks what to install.
type CheckRequest struct {
	Device           string
	DeviceType       string
	Nonce            uint64 // counter, strictly rising over checks and reports
	Sequence         manifest.Sequence
	ImageDigest      manifest.Digest // of the running image, read back from flash
	KeysetVersion    uint32
	Boot             BootState
	LastError        Reason
	HardwareRevision string // may be empty
	Capabilities     uint8
}

type checkRequestPayload struct {
	Format           uint64            `cbor:"0,keyasint"`
	Device           string            `cbor:"1,keyasint"`
	DeviceType       string            `cbor:"2,keyasint"`
	Nonce            uint64            `cbor:"3,keyasint"`
	Sequence         manifest.Sequence `cbor:"4,keyasint"`
	ImageDigest      []byte            `cbor:"5,keyasint"`
	KeysetVersion    uint32            `cbor:"6,keyasint"`
	Boot             BootState         `cbor:"7,keyasint,omitempty"`
	LastError        Reason            `cbor:"8,keyasint,omitempty"`
	HardwareRevision string            `cbor:"9,keyasint,omitempty"`
	Capabilities     uint8             `cbor:"10,keyasint,omitempty"`
}

// Seal returns the request as a COSE_Mac0 under the device's up key.
func (r CheckRequest) Seal(key DeviceKey) ([]byte, error) {
	return seal(cose.TypCheckRequest, key, checkRequestPayload{
		Format: MessageFormat, Device: r.Device, DeviceType: r.DeviceType, Nonce: r.Nonce, Sequence: r.Sequence,
		ImageDigest: r.ImageDigest[:], KeysetVersion: r.KeysetVersion, Boot: r.Boot, LastError: r.LastError,
		HardwareRevision: r.HardwareRevision, Capabilities: r.Capabilities,
	})
}

// OpenCheckRequest verifies and decodes a request. keyOf finds the up key of the
// device that the request claims to be of.
func OpenCheckRequest(raw []byte, keyOf KeyOf) (CheckRequest, error) {
	var r CheckRequest
	var read bool
	payload, err := openFrom(raw, cose.TypCheckRequest, keyOf, func(payload []byte) (deviceType, device string, err error) {
		if r, read = readCheckRequest(payload); read {
			return r.DeviceType, r.Device, nil
		}
		return peekSender(payload)
	})
	if err != nil {
		return CheckRequest{}, err
	}
	if !read {
		if r, err = decodeCheckRequest(payload); err != nil {
			return CheckRequest{}, fmt.Errorf("open check request: %w", err)
		}
	}
	if err := r.Validate(); err != nil {
		return CheckRequest{}, fmt.Errorf("open check request: %w", err)
	}
	return r, nil
}

func decodeCheckRequest(payload []byte) (CheckRequest, error) {
	var w checkRequestPayload
	if err := dcbor.UnmarshalPayload(payload, MessageFormat, &w); err != nil {
		return CheckRequest{}, err
	}
	r := CheckRequest{
		Device: w.Device, DeviceType: w.DeviceType, Nonce: w.Nonce, Sequence: w.Sequence, KeysetVersion: w.KeysetVersion,
		Boot: w.Boot, LastError: w.LastError, HardwareRevision: w.HardwareRevision, Capabilities: w.Capabilities,
	}
	err := digestInto(&r.ImageDigest, w.ImageDigest)
	return r, err
}

// Validate checks every field but the names of the device against its bounds.
func (r CheckRequest) Validate() error {
	if r.Boot > BootReverted || r.Capabilities&^CapNoRevert != 0 {
		return fmt.Errorf("check request: %w: boot state %d, capabilities %#x", ErrUnsupported, r.Boot, r.Capabilities)
	}
	if r.HardwareRevision != "" {
		if err := manifest.CheckName(r.HardwareRevision); err != nil {
			return fmt.Errorf("check request: hardware revision: %w: %v", ErrInvalidField, err)
		}
	}
	return nil
}

// A CheckResponse answers one check request.
type CheckResponse struct {
	Device        string
	Nonce         uint64          // of the request
	ServerTime    uint64          // seconds since 1970; for a device without a clock only a hint
	KeysetVersion uint32          // newest keyset of the device's type
	RetrySeconds  uint32          // when to ask again
	ManifestHash  manifest.Digest // of the transferred bytes; zero: nothing to install
	ManifestSize  uint32          // bytes
	Patch         *Patch          // may be nil
	RetryRejected bool            // try again what the device rejected or reverted
}

// A Patch is offered beside the whole image. No key signs it; the MAC names it.
type Patch struct {
	Format uint8
	Size   uint32 // bytes
	Digest manifest.Digest
}

type checkResponsePayload struct {
	Format        uint64      `cbor:"0,keyasint"`
	Device        string      `cbor:"1,keyasint"`
	Nonce         uint64      `cbor:"3,keyasint"`
	ServerTime    uint64      `cbor:"4,keyasint"`
	KeysetVersion uint32      `cbor:"5,keyasint"`
	RetrySeconds  uint32      `cbor:"6,keyasint"`
	ManifestHash  []byte      `cbor:"7,keyasint,omitempty"`
	ManifestSize  uint32      `cbor:"8,keyasint,omitempty"`
	Patch         *patchEntry `cbor:"9,keyasint,omitempty"`
	RetryRejected bool        `cbor:"10,keyasint,omitempty"`
}

type patchEntry struct {
	_      struct{} `cbor:",toarray"`
	Format uint8
	Size   uint32
	Digest []byte
}

// Seal returns the response as a COSE_Mac0 under the device's down key.
func (r CheckResponse) Seal(key DeviceKey) ([]byte, error) {
	w := checkResponsePayload{
		Format: MessageFormat, Device: r.Device, Nonce: r.Nonce, ServerTime: r.ServerTime, KeysetVersion: r.KeysetVersion,
		RetrySeconds: r.RetrySeconds, ManifestSize: r.ManifestSize, RetryRejected: r.RetryRejected,
	}
	if !r.ManifestHash.IsZero() {
		w.ManifestHash = r.ManifestHash[:]
	}
	if r.Patch == nil && utf8.ValidString(r.Device) {
		return sealPayload(cose.TypCheckResponse, key, w.append(make([]byte, 0, 128)))
	}
	if r.Patch != nil {
		w.Patch = &patchEntry{Format: r.Patch.Format, Size: r.Patch.Size, Digest: r.Patch.Digest[:]}
	}
	return seal(cose.TypCheckResponse, key, w)
}

// OpenCheckResponse verifies a response under the device's down key and checks
// that it is to this device's question: same device id, same nonce. What is no
// COSE_Mac0 at all, such as the JSON that a device without a key would get, is
// ErrUnauthenticated: a device with a key never falls back to it.
func OpenCheckResponse(raw []byte, key DeviceKey, device string, nonce uint64) (CheckResponse, error) {
	if !cose.IsMac0(raw) {
		return CheckResponse{}, fmt.Errorf("open check response: %w", ErrUnauthenticated)
	}
	payload, err := open(raw, cose.TypCheckResponse, key)
	if err != nil {
		return CheckResponse{}, err
	}
	var w checkResponsePayload
	if err := dcbor.UnmarshalPayload(payload, MessageFormat, &w); err != nil {
		return CheckResponse{}, fmt.Errorf("open check response: %w", err)
	}
	r := CheckResponse{
		Device: w.Device, Nonce: w.Nonce, ServerTime: w.ServerTime, KeysetVersion: w.KeysetVersion,
		RetrySeconds: w.RetrySeconds, ManifestSize: w.ManifestSize, RetryRejected: w.RetryRejected,
	}
	if w.ManifestHash != nil {
		if err := optionalDigestInto(&r.ManifestHash, w.ManifestHash); err != nil {
			return CheckResponse{}, fmt.Errorf("open check response: %w", err)
		}
	}
	if w.Patch != nil {
		r.Patch = &Patch{Format: w.Patch.Format, Size: w.Patch.Size}
		if err := digestInto(&r.Patch.Digest, w.Patch.Digest); err != nil {
			return CheckResponse{}, fmt.Errorf("open check response: %w", err)
		}
	}
	if err := r.Validate(); err != nil {
		return CheckResponse{}, fmt.Errorf("open check response: %w", err)
	}
	if r.Device != device {
		return CheckResponse{}, fmt.Errorf("open check response: %w: for %q", ErrWrongDevice, r.Device)
	}
	if r.Nonce != nonce {
		return CheckResponse{}, fmt.Errorf("open check response: %w: nonce %d, asked with %d", ErrWrongNonce, r.Nonce, nonce)
	}
	return r, nil
}

// Validate checks every field against its bounds.
func (r CheckResponse) Validate() error {
	if err := manifest.CheckName(r.Device); err != nil {
		return fmt.Errorf("check response: device id: %w: %v", ErrInvalidField, err)
	}
	if r.ManifestHash.IsZero() != (r.ManifestSize == 0) {
		return fmt.Errorf("check response: %w: manifest hash and size go together", ErrInvalidField)
	}
	if r.Patch != nil && r.ManifestHash.IsZero() {
		return fmt.Errorf("check response: %w: a patch without a manifest", ErrInvalidField)
	}
	return nil
}

// An Event is what a report tells.
type Event uint8

// The events.
const (
	EventDownloading Event = 1 // the manifest was accepted, the image is being fetched
	EventInstalled   Event = 2 // the image is in its slot, verified, and boots next
	EventTrial       Event = 3 // the new image runs on trial
	EventConfirmed   Event = 4 // the new image proved itself
	EventReverted    Event = 5 // the previous image runs again
	EventRefused     Event = 6 // the device refused what it was offered
	EventFailed      Event = 7 // it could not fetch or store it, and may try again
	EventKeyset      Event = 8 // a newer keyset was accepted
)

var events = map[Event]string{
	EventDownloading: "downloading", EventInstalled: "installed", EventTrial: "trial", EventConfirmed: "confirmed",
	EventReverted: "reverted", EventRefused: "refused", EventFailed: "failed", EventKeyset: "keyset",
}

// String returns the event in a word.
func (e Event) String() string {
	if s, ok := events[e]; ok {
		return s
	}
	return fmt.Sprintf("event %d", uint8(e))
}

// A Report tells what became of an update. Sequence and ImageDigest are of the
// image that runs, read back from its slot: the evidence that it runs.
type Report struct {
	Device      string
	DeviceType  string
	Nonce       uint64 // from the same counter as checks
	Event       Event
	Sequence    manifest.Sequence
	ImageDigest manifest.Digest
	Target      manifest.Digest // hash of the manifest concerned; may be zero
	Reason      Reason
	Detail      string // words for the operator; printable ASCII, may be empty
}

type reportPayload struct {
	Format      uint64            `cbor:"0,keyasint"`
	Device      string            `cbor:"1,keyasint"`
	DeviceType  string            `cbor:"2,keyasint"`
	Nonce       uint64            `cbor:"3,keyasint"`
	Event       Event             `cbor:"4,keyasint"`
	Sequence    manifest.Sequence `cbor:"5,keyasint"`
	ImageDigest []byte            `cbor:"6,keyasint"`
	Target      []byte            `cbor:"7,keyasint,omitempty"`
	Reason      Reason            `cbor:"8,keyasint,omitempty"`
	Detail      string            `cbor:"9,keyasint,omitempty"`
}

// Seal returns the report as a COSE_Mac0 under the device's up key. Detail is
// cut to MaxDetail bytes and made printable.
func (r Report) Seal(key DeviceKey) ([]byte, error) {
	w := reportPayload{
		Format: MessageFormat, Device: r.Device, DeviceType: r.DeviceType, Nonce: r.Nonce, Event: r.Event,
		Sequence: r.Sequence, ImageDigest: r.ImageDigest[:], Reason: r.Reason, Detail: printable(r.Detail),
	}
	if !r.Target.IsZero() {
		w.Target = r.Target[:]
	}
	return seal(cose.TypReport, key, w)
}

// OpenReport verifies and decodes a report. keyOf finds the up key of the
// device that the report claims to be of.
func OpenReport(raw []byte, keyOf KeyOf) (Report, error) {
	payload, err := openFrom(raw, cose.TypReport, keyOf, peekSender)
	if err != nil {
		return Report{}, err
	}
	var w reportPayload
	if err := dcbor.UnmarshalPayload(payload, MessageFormat, &w); err != nil {
		return Report{}, fmt.Errorf("open report: %w", err)
	}
	r := Report{
		Device: w.Device, DeviceType: w.DeviceType, Nonce: w.Nonce, Event: w.Event,
		Sequence: w.Sequence, Reason: w.Reason, Detail: w.Detail,
	}
	if err := digestInto(&r.ImageDigest, w.ImageDigest); err != nil {
		return Report{}, fmt.Errorf("open report: %w", err)
	}
	if w.Target != nil {
		if err := optionalDigestInto(&r.Target, w.Target); err != nil {
			return Report{}, fmt.Errorf("open report: %w", err)
		}
	}
	if err := r.Validate(); err != nil {
		return Report{}, fmt.Errorf("open report: %w", err)
	}
	return r, nil
}

// Validate checks every field but the names of the device against its bounds.
func (r Report) Validate() error {
	if _, ok := events[r.Event]; !ok {
		return fmt.Errorf("report: %w: event %d", ErrUnsupported, r.Event)
	}
	if r.Detail != printable(r.Detail) {
		return fmt.Errorf("report: detail: %w: want at most %d printable ASCII bytes", ErrInvalidField, MaxDetail)
	}
	return nil
}

// printable cuts s to MaxDetail bytes and replaces what is not printable
// ASCII: a device's words end up in logs and on terminals.
func printable(s string) string {
	b := []byte(s)
	b = b[:min(len(b), MaxDetail)]
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// A KeyOf finds the key that the device of that type and id sends with.
type KeyOf func(deviceType, device string) (DeviceKey, error)

func seal(typ cose.Typ, key DeviceKey, payload any) ([]byte, error) {
	raw, err := dcbor.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", typ, err)
	}
	return sealPayload(typ, key, raw)
}

func sealPayload(typ cose.Typ, key DeviceKey, payload []byte) ([]byte, error) {
	sealed := cose.Seal(typ, key.KID(), key[:], payload)
	if len(sealed) > MaxMessage {
		return nil, fmt.Errorf("seal %s: %w: %d bytes, at most %d", typ, ErrTooLarge, len(sealed), MaxMessage)
	}
	return sealed, nil
}

// openFrom opens a message whose sender has yet to be found: of its payload,
// only who claims to have sent it, as senderOf says, is used before the MAC holds.
func openFrom(raw []byte, typ cose.Typ, keyOf KeyOf, senderOf func(payload []byte) (deviceType, device string, err error)) ([]byte, error) {
	obj, err := cose.ParseMac0(raw, typ, MaxMessage)
	if err != nil {
		return nil, err
	}
	deviceType, device, err := senderOf(obj.Payload)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", typ, err)
	}
	if err := (DeviceID{DeviceType: deviceType, ID: device}).Validate(); err != nil {
		return nil, fmt.Errorf("open %s: %w", typ, err)
	}
	key, err := keyOf(deviceType, device)
	if err != nil {
		return nil, fmt.Errorf("open %s of %s: %w", typ, device, err)
	}
	return verifyMAC(obj, key)
}

func peekSender(payload []byte) (deviceType, device string, err error) {
	var sender struct {
		Device     string `cbor:"1,keyasint"`
		DeviceType string `cbor:"2,keyasint"`
	}
	err = dcbor.Peek(payload, &sender)
	return sender.DeviceType, sender.Device, err
}

func open(raw []byte, typ cose.Typ, key DeviceKey) ([]byte, error) {
	obj, err := cose.ParseMac0(raw, typ, MaxMessage)
	if err != nil {
		return nil, err
	}
	return verifyMAC(obj, key)
}

func verifyMAC(obj *cose.Maced, key DeviceKey) ([]byte, error) {
	if key == (DeviceKey{}) {
		return nil, fmt.Errorf("open %s: %w", obj.Typ, ErrNoDeviceKey)
	}
	if obj.KID != key.KID() {
		return nil, fmt.Errorf("open %s: %w: MAC'ed with another key or key generation", obj.Typ, ErrBadMAC)
	}
	if err := obj.Verify(key[:]); err != nil {
		return nil, err
	}
	return obj.Payload, nil
}

func digestInto(dst *manifest.Digest, src []byte) error {
	if len(src) != len(dst) {
		return fmt.Errorf("digest of %d bytes: %w", len(src), ErrInvalidField)
	}
	*dst = manifest.Digest(src)
	return nil
}

// optionalDigestInto refuses the zero digest: absent is the one encoding of
// it.
func optionalDigestInto(dst *manifest.Digest, src []byte) error {
	if err := digestInto(dst, src); err != nil {
		return err
	}
	if dst.IsZero() {
		return fmt.Errorf("digest of zeros: %w: it must be absent", ErrInvalidField)
	}
	return nil
}
