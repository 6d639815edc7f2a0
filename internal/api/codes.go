package api

import (
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/internal/sbom"
	"github.com/secure-ota/secure-ota/repository"
)

// Conditions that only this interface knows.
var (
	ErrInvalid     = errors.New("invalid request")
	ErrNotFound    = repository.ErrNotFound
	ErrMediaType   = errors.New("wrong Content-Type")
	ErrMethod      = errors.New("method not allowed")
	ErrTLSRequired = errors.New("this needs TLS")
	ErrTooMany     = errors.New("too many requests")
	ErrNoAuditKey  = errors.New("no audit key is configured")
	ErrAuditBroken = errors.New("the audit log is broken")
	ErrOffset      = errors.New("the upload stands elsewhere")
	ErrUnavailable = errors.New("the server cannot do this now")
	ErrInternal    = errors.New("internal error")

	errNarrow = fmt.Errorf("a token that is bound to device types or actions manages no tokens: %w", auth.ErrForbidden)
)

// A Code is the wire form of an error: what a program looks at instead of the
// words.
type Code struct {
	Name   string // docs/spec/management-api.md, section 5
	Status int    // of HTTP
	Err    error  // found with errors.Is on both sides
}

// codes is the one table between errors and their wire form. The first that
// matches counts.
var codes = []Code{
	{"unauthorized", 401, auth.ErrUnauthorized},
	{"forbidden", 403, auth.ErrForbidden},
	{"tls_required", 403, ErrTLSRequired},
	{"too_many", 429, ErrTooMany},
	{"media_type", 415, ErrMediaType},
	{"method_not_allowed", 405, ErrMethod},

	{"no_keyset", 409, fleet.ErrNoKeyset},
	{"unknown_type", 409, repository.ErrUnknownType},
	{"no_master", 409, auth.ErrNoMaster},
	{"no_audit_key", 409, ErrNoAuditKey},
	{"audit_broken", 409, ErrAuditBroken},
	{"offset", 409, ErrOffset},
	{"busy", 409, repository.ErrUploadBusy},
	{"not_uploaded", 409, repository.ErrNoImage},
	{"exists", 409, fleet.ErrExists},
	{"no_release", 409, fleet.ErrNoRelease},
	{"too_many_devices", 409, fleet.ErrTooManyDevices},
	{"exists", 409, auth.ErrExists},
	{"rollout_exists", 409, rollout.ErrExists},
	{"state", 409, rollout.ErrState},
	{"offers_newest", 409, rollout.ErrOffer},
	{"rollouts_active", 409, rollout.ErrActive},

	{"unsigned", 422, repository.ErrUnsigned},
	{"wrong_type_key", 422, repository.ErrWrongTypeKey},
	{"revoked_key", 422, repository.ErrRevokedKey},
	{"missing_key", 422, repository.ErrMissingKey},
	{"no_manifest", 422, repository.ErrNoManifest},
	{"no_keysets", 422, repository.ErrNoKeyset},
	{"mixed_types", 422, repository.ErrMixedTypes},
	{"version", 422, repository.ErrVersion},
	{"sequence", 422, repository.ErrSequence},
	{"below_floor", 422, repository.ErrBelowFloor},
	{"downgrade", 422, repository.ErrDowngrade},
	{"document", 422, repository.ErrDocument},
	{"sbom", 422, sbom.ErrInvalid},
	{"image", 422, repository.ErrImage},
	{"withdrawn", 422, repository.ErrWithdrawn},
	{"never_verifies", 422, rollout.ErrCohort},
	{"release", 422, rollout.ErrRelease},
	{"second_person", 422, rollout.ErrAuthor},

	{"full", 507, repository.ErrFull},
	{"unavailable", 503, fleet.ErrStorage},
	{"unavailable", 503, repository.ErrReadOnly},
	{"unavailable", 503, repository.ErrBusy},
	{"unavailable", 503, repository.ErrUnavailable},
	{"unavailable", 503, ErrUnavailable},

	{"too_large", 413, reason.TooLarge},
	{"malformed", 400, reason.Malformed},
	{"filter", 400, filter.ErrInvalid},
	{"invalid", 400, ErrInvalid},
	{"invalid", 400, fleet.ErrInvalid},
	{"invalid", 400, auth.ErrInvalid},
	{"invalid", 400, rollout.ErrInvalid},
	{"no_rollout", 404, rollout.ErrNotFound},
	{"invalid", 400, audit.ErrInvalid},
	{"invalid", 400, repository.ErrText},
	{"not_found", 404, ErrNotFound},
	{"not_found", 404, fleet.ErrNotFound},
	{"not_found", 404, auth.ErrNotFound},
}

// refusedCode is of an error that carries a reason and nothing more special.
var refusedCode = Code{Name: "refused", Status: 422}

// internalCode is of everything that is not in the table: its words stay in
// the log.
var internalCode = Code{Name: "internal", Status: 500, Err: ErrInternal}

// CodeOf finds the wire form of an error.
func CodeOf(err error) Code {
	for _, c := range codes {
		if errors.Is(err, c.Err) {
			return c
		}
	}
	var r reason.Reason
	if errors.As(err, &r) && r != reason.Internal {
		return refusedCode
	}
	return internalCode
}

// A RemoteError is a server's refusal, on the client's side. errors.Is finds
// what the server found: the sentinels of the same code, and the reason.
type RemoteError struct {
	Status    int
	Code      string
	Reason    reason.Reason
	Words     string
	RequestID string // stands in the server's log
}

// Error returns the server's words.
func (e *RemoteError) Error() string {
	if e.Code == internalCode.Name {
		return e.Words + " (request " + e.RequestID + " in the server's log)"
	}
	return e.Words
}

// Unwrap returns the sentinels that the code stands for, and the reason.
func (e *RemoteError) Unwrap() []error {
	var errs []error
	for _, c := range append(codes, internalCode) {
		if c.Name == e.Code {
			errs = append(errs, c.Err)
		}
	}
	if e.Reason != 0 {
		errs = append(errs, e.Reason)
	}
	return errs
}
