package trust

import "github.com/secure-ota/secure-ota/internal/reason"

// A Reason says why something was refused. It is an error, is found in every
// refusal of this module with errors.As, and is what a device reports
// (docs/spec/reasons.md).
type Reason = reason.Reason

// ReasonOf returns the reason inside err: 0 for nil, ErrInternal if it carries
// none.
func ReasonOf(err error) Reason { return reason.Of(err) }

// The refusals that callers tell apart with errors.Is.
const (
	ErrMalformed        = reason.Malformed
	ErrTooLarge         = reason.TooLarge
	ErrWrongKind        = reason.WrongKind
	ErrUnsupported      = reason.Unsupported
	ErrInvalidField     = reason.InvalidField
	ErrNotEnoughSigners = reason.NotEnoughSigners
	ErrBadSignature     = reason.BadSignature
	ErrWrongEpoch       = reason.WrongEpoch
	ErrWrongVendor      = reason.WrongVendor
	ErrWrongType        = reason.WrongType
	ErrWrongHardware    = reason.WrongHardware
	ErrWrongComponent   = reason.WrongComponent
	ErrKeysetTooOld     = reason.KeysetTooOld
	ErrKeysetNotNewer   = reason.KeysetNotNewer
	ErrExpired          = reason.Expired
	ErrOldSequence      = reason.OldSequence
	ErrOldVersion       = reason.OldVersion
	ErrNotApplicable    = reason.NotApplicable
	ErrBelowFloor       = reason.BelowFloor
	ErrImageSize        = reason.ImageSize
	ErrImageDigest      = reason.ImageDigest
	ErrRejectedBefore   = reason.RejectedBefore
	ErrBadMAC           = reason.BadMAC
	ErrWrongNonce       = reason.WrongNonce
	ErrWrongDevice      = reason.WrongDevice
	ErrUnauthenticated  = reason.Unauthenticated
	ErrNotNamed         = reason.NotNamed
	ErrNoDeviceKey      = reason.NoDeviceKey
	ErrOutsideWindow    = reason.OutsideWindow
	ErrNothingRetained  = reason.NothingRetained
	ErrInternal         = reason.Internal
)

// What a device has to say besides: why it could not, or why it went back. A
// client of one's own gives them to RejectFirmware and in its reports.
const (
	ErrStorage           = reason.Storage
	ErrTransport         = reason.Transport
	ErrHealthCheck       = reason.HealthCheck
	ErrTriesExhausted    = reason.TriesExhausted
	ErrWatchdogReset     = reason.WatchdogReset
	ErrOperatorRequested = reason.OperatorRequested
)
