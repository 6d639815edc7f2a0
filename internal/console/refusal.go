package console

import (
	"errors"
	"net/http"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

// A refusal is what an operator reads when something did not work.
type refusal struct {
	Words  string
	Hint   string // what to do next
	status int
}

// hints say what to do about a refusal. The first that fits counts.
var hints = []struct {
	err  error
	hint string
}{
	{auth.ErrLogin, "Begin again. If it happens each time, the server's client at the provider is not set up as docs/operations.md says."},
	{auth.ErrNoRole, "Ask whoever manages the groups at the provider for one of these, and log in again."},
	{auth.ErrProvider, "Try again in a moment, or log in with a token. The server's log says why."},
	{auth.ErrUnauthorized, "The session has ended, or the token is unknown, expired or revoked. Log in again."},
	{api.ErrTooMany, "Too many wrong tokens came from your address, or too many logins with this one. Wait a little."},
	{auth.ErrForbidden, "Ask an administrator for a token with that role: ota token add NAME --role ROLE."},
	{repository.ErrUnsigned, "Sign it first: ota manifest sign FILE.manifest --key KEY."},
	{repository.ErrWrongTypeKey, "Sign with a release key of that device type; the page Keys shows them."},
	{repository.ErrRevokedKey, "Sign with the current release key; the page Keys shows it."},
	{repository.ErrUnknownType, "Publish the first keyset of the type: ota keyset publish TYPE."},
	{fleet.ErrNoKeyset, "Publish the first keyset of the type: ota keyset publish TYPE."},
	{errStranded, "Publish the keysets between that lead those devices to it, or say that they are to be left behind."},
	{errNotFollowed, "Devices would refuse it, too: the roots of the keyset that they hold have to sign it together with its own. ota keyset request TYPE."},
	{trust.ErrKeysetNotNewer, "Keysets rise. Make the next one: ota keyset new TYPE."},
	{repository.ErrMissingKey, "Bring the bundle, which has the keys: ota keyset export TYPE --bundle."},
	{repository.ErrNoKeyset, "Choose what ota keyset export TYPE --bundle wrote."},
	{repository.ErrVersion, "Versions rise. To go back on purpose: ota release downgrade TYPE."},
	{repository.ErrSequence, "Sequences rise. Make the manifest again, without --sequence."},
	{repository.ErrBelowFloor, "Make the manifest again with --security-counter at the floor that the page Keys shows, or above."},
	{repository.ErrImage, "The firmware is not the one that the manifest was made of. Choose the original file, or make a new manifest."},
	{repository.ErrDocument, "Choose the release document that ota manifest left beside the manifest, too: FILE.release."},
	{repository.ErrWithdrawn, "A release that was withdrawn stays so. Publish it under a new version."},
	{repository.ErrNoImage, "Choose the firmware file, too."},
	{repository.ErrFull, "The server's disk or its quota is full."},
	{api.ErrNoAuditKey, "ota serve makes the audit key at its first start: secrets/audit.pem in the data directory."},
	{api.ErrAuditBroken, "The log was changed after it was written. Keep a copy as evidence, and look at who can write to the database."},
	{auth.ErrExists, "Choose another name, or revoke it first."},
	{fleet.ErrStorage, "The server cannot write now. Try again in a moment; its log says why."},
	{repository.ErrReadOnly, "The server cannot write now; its log says why."},
	{repository.ErrBusy, "Somebody else is at it. Try again in a moment."},
	{repository.ErrUploadBusy, "Another upload of this image is under way. Try again when it has ended."},
	{rollout.ErrAuthor, "Whoever drafted it cannot approve it: another approver or administrator has to."},
	{rollout.ErrOffer, "Let the device type wait for rollouts: Settings, Device types, or ota type set TYPE --offer rollouts."},
	{rollout.ErrActive, "End the rollouts first."},
	{rollout.ErrState, "Somebody, or a threshold, was faster. Look at it again."},
	{rollout.ErrExists, "Choose another name."},
	{rollout.ErrCohort, "Bring those devices a keyset or a release first that they can verify; the plan shows which."},
	{rollout.ErrRelease, "Choose another release."},
	{fleet.ErrTooManyDevices, "There are more devices than you were asked about. Look at the list again."},
	{filter.ErrInvalid, "docs/filters.md describes the language."},
	{api.ErrNotFound, "It does not exist, or not any more."},
	{fleet.ErrNotFound, "There is no such device."},
}

// refusalOf puts an error into words. What nobody expects stays in the log.
func (h *Handler) refusalOf(w http.ResponseWriter, r *http.Request, err error) *refusal {
	p := &refusal{Words: sentenceCase(err.Error()), status: statusOf(err)}
	for _, known := range hints {
		if errors.Is(err, known.err) {
			p.Hint = known.hint
			break
		}
	}
	var rate *fleet.RateError
	if errors.As(err, &rate) {
		protocol.SetRetryAfter(w, rate.Wait)
	}
	if errors.Is(err, auth.ErrProvider) { // why is for those who run the server: it names their network
		h.log.Error("console: log in by the identity provider", "request", protocol.RequestID(w), "error", err)
		p.Words = sentenceCase(auth.ErrProvider.Error())
	}
	if p.status == http.StatusInternalServerError {
		id := protocol.RequestID(w)
		h.log.Error("console: failed", "request", id, "method", r.Method, "path", r.URL.Path, "error", err)
		p.Words, p.Hint = "Internal error.", "The server's log has it under "+id+"."
	}
	return p
}

// statusOf returns the status of an answer about an error. Those of a login by an
// identity provider are the console's own; the API knows the others.
func statusOf(err error) int {
	switch {
	case errors.Is(err, auth.ErrLogin):
		return http.StatusUnauthorized
	case errors.Is(err, auth.ErrNoRole):
		return http.StatusForbidden
	case errors.Is(err, auth.ErrProvider):
		return http.StatusServiceUnavailable
	}
	return api.CodeOf(err).Status
}

// A formError is a form that was refused, and is shown again as it was filled
// in.
type formError struct {
	form  *page
	cause error
	quiet bool // the form itself says what is wrong with it
}

// Error implements error.
func (e *formError) Error() string { return e.cause.Error() }

// Unwrap returns why.
func (e *formError) Unwrap() error { return e.cause }

// fail answers with a page that says what went wrong: the form again, or a
// page of its own.
func (h *Handler) fail(v *visit, err error) {
	if v.Context().Err() != nil { // who asked has gone
		return
	}
	p := &page{Title: "Refused", template: "problem"}
	var form *formError
	if errors.As(err, &form) {
		p = form.form
	}
	p.Problem = h.refusalOf(v.w, v.Request, err)
	p.status = p.Problem.status
	if form != nil && form.quiet {
		p.Problem.Words = ""
	}
	if p.status == http.StatusNotFound && form == nil {
		p.Title = "Not found"
	}
	h.deliver(v, p)
}
