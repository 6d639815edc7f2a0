package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds an answer that is read into memory, in bytes. A listing is
// the longest.
const maxAnswer = 8 << 20

// An Error is what the store refused, in its own words.
type Error struct {
	Status    int    `xml:"-"` // of HTTP
	Code      string // such as NoSuchKey; empty: it did not say
	Message   string
	RequestID string `xml:"RequestId"`
}

// Error returns the store's words.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%s (status %d): %.200q", e.Code, e.Status, e.Message)
}

// readError reads the refusal in an answer. The answer to a HEAD has no body.
func readError(resp *http.Response) error {
	e := &Error{}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || xml.Unmarshal(raw, e) != nil {
		*e = Error{}
	}
	e.Status = resp.StatusCode
	return e
}

// worthRetrying says whether the same request may succeed in a moment: what did
// not come to an end, and what the store calls temporary.
func worthRetrying(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Status >= 500 && refused.Status != http.StatusInsufficientStorage && refused.Status != http.StatusNotImplemented ||
			refused.Status == http.StatusTooManyRequests
	}
	return !errors.Is(err, ErrCredentials)
}
