package protocol

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/reason"
)

// A Problem is the body of every error answer.
type Problem struct {
	Error     string        `json:"error"`          // words, without secrets and without internals
	Code      string        `json:"code,omitempty"` // for machines; see docs/spec/management-api.md
	Reason    reason.Reason `json:"reason"`         // docs/spec/reasons.md
	RequestID string        `json:"request_id"`     // stands in the server's log as well
}

// WriteProblem answers with an error. What an error quotes of a request may be
// no UTF-8, which JSON cannot carry.
func WriteProblem(w http.ResponseWriter, status int, p Problem) {
	p.Error = strings.ToValidUTF8(p.Error, "\ufffd")
	w.Header().Set("Cache-Control", "no-store")
	if err := WriteJSON(w, status, p); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

// SetRetryAfter tells the client when to come again, in whole seconds, at
// least one.
func SetRetryAfter(w http.ResponseWriter, d time.Duration) {
	seconds := max(1, int(math.Ceil(d.Seconds())))
	w.Header().Set("Retry-After", itoa(seconds))
}

func itoa(n int) string { return strconv.Itoa(n) }
