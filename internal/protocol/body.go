package protocol

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/secure-ota/secure-ota/internal/reason"
)

// Body reads a request's body of at most max bytes. A longer one is
// reason.TooLarge, and is not read to its end.
func Body(r *http.Request, max int64) ([]byte, error) {
	if r.ContentLength > max {
		return nil, fmt.Errorf("read body: %w: %d bytes, at most %d", reason.TooLarge, r.ContentLength, max)
	}
	if n := r.ContentLength; n >= 0 {
		raw := make([]byte, n)
		if _, err := io.ReadFull(r.Body, raw); err != nil {
			return nil, fmt.Errorf("read body: %w: %v", reason.Malformed, err)
		}
		return raw, nil
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, max+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w: %v", reason.Malformed, err)
	}
	if int64(len(raw)) > max {
		return nil, fmt.Errorf("read body: %w: at most %d bytes", reason.TooLarge, max)
	}
	return raw, nil
}

// MediaType returns the request's Content-Type in lower case, without
// parameters.
func MediaType(r *http.Request) string {
	name, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(name))
}

// DecodeJSON strictly decodes one JSON value: no unknown, duplicate or
// differently cased member, no invalid UTF-8, nothing after it. Two readers
// that pick different ones of two members of one name are a way past whichever
// checked first.
func DecodeJSON(raw []byte, v any) error {
	err := json.Unmarshal(raw, v, json.RejectUnknownMembers(true))
	var misfit *json.SemanticError
	switch {
	case errors.As(err, &misfit) && misfit.Err != nil:
		return fmt.Errorf("decode JSON: %w: at %q: %v", reason.Malformed, misfit.JSONPointer, misfit.Err)
	case misfit != nil: // its own words speak of the types of this program
		return fmt.Errorf("decode JSON: %w: at %q: a value of another kind is wanted", reason.Malformed, misfit.JSONPointer)
	case err != nil:
		return fmt.Errorf("decode JSON: %w: %v", reason.Malformed, err)
	}
	return nil
}

// WriteJSON answers with v. The answer is never chunked.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	WriteBytes(w, status, "application/json", raw)
	return nil
}

// WriteBytes answers with raw, which is all of the answer.
func WriteBytes(w http.ResponseWriter, status int, contentType string, raw []byte) {
	h, values := w.Header(), [...]string{contentType, itoa(len(raw))}
	h["Content-Type"], h["Content-Length"] = values[:1:1], values[1:]
	w.WriteHeader(status)
	w.Write(raw) // a failure means that the client is gone
}
