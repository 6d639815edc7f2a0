package inventory

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

// A jsonReader reads devices from a JSON array, or from objects one after the
// other. Each is a device as the management API shows it, or a part of that.
type jsonReader struct {
	dec   *jsontext.Decoder
	array bool
	count int
}

// jsonDevice is a device with the members that an import takes no notice of.
type jsonDevice struct {
	fleet.ImportDevice
	Generation    jsontext.Value `json:"generation"`
	Revoked       jsontext.Value `json:"revoked"`
	UpdateNow     jsontext.Value `json:"update_now"`
	State         jsontext.Value `json:"state"`
	Version       jsontext.Value `json:"version"`
	Installed     jsontext.Value `json:"installed"`
	Confirmed     jsontext.Value `json:"confirmed"`
	KeysetVersion jsontext.Value `json:"keyset_version"`
	Boot          jsontext.Value `json:"boot"`
	LastError     jsontext.Value `json:"last_error"`
	LastErrorText jsontext.Value `json:"last_error_text"`
	LastEvent     jsontext.Value `json:"last_event"`
	LastEventAt   jsontext.Value `json:"last_event_at"`
	LastDetail    jsontext.Value `json:"last_detail"`
	Rejected      jsontext.Value `json:"rejected"`
	RetryRejected jsontext.Value `json:"retry_rejected"`
	Offer         jsontext.Value `json:"offer"`
	Why           jsontext.Value `json:"why"`
	AddedAt       jsontext.Value `json:"added_at"`
	LastSeen      jsontext.Value `json:"last_seen"`
}

func newJSON(r io.Reader) (next func() (Entry, error), err error) {
	j := &jsonReader{dec: jsontext.NewDecoder(r)}
	if j.dec.PeekKind() == '[' {
		j.array = true
		if _, err := j.dec.ReadToken(); err != nil {
			return nil, j.explain(err)
		}
	}
	return j.next, nil
}

func (j *jsonReader) next() (Entry, error) {
	if j.array && j.dec.PeekKind() == ']' {
		if _, err := j.dec.ReadToken(); err != nil {
			return Entry{}, j.explain(err)
		}
		if _, err := j.dec.ReadToken(); err != nil {
			return Entry{}, j.explain(err)
		}
		return Entry{}, &Error{j.place(), errors.New("something stands behind the list")}
	}
	j.count++
	var d jsonDevice
	if err := json.UnmarshalDecode(j.dec, &d, json.RejectUnknownMembers(true)); err != nil {
		return Entry{}, j.explain(err)
	}
	return Entry{d.ImportDevice, j.place()}, nil
}

func (j *jsonReader) place() Place { return Place{"entry", j.count} }

// explain makes an Error of what is wrong with the file.
func (j *jsonReader) explain(err error) error {
	var syntax *jsontext.SyntacticError
	var misfit *json.SemanticError
	switch {
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return io.EOF
	case errors.As(err, &misfit) && misfit.Err != nil:
		return &Error{j.place(), fmt.Errorf("at %q: %w", j.within(misfit), misfit.Err)}
	case misfit != nil:
		return &Error{j.place(), fmt.Errorf("at %q: a value of another kind is wanted", j.within(misfit))}
	case errors.As(err, &syntax), errors.Is(err, errTooLong), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{j.place(), err}
	}
	return err
}

// within returns where in the device an error is.
func (j *jsonReader) within(e *json.SemanticError) string {
	pointer := string(e.JSONPointer)
	if _, inside, ok := strings.Cut(strings.TrimPrefix(pointer, "/"), "/"); ok && j.array {
		return "/" + inside
	}
	return pointer
}

// A JSONWriter writes devices as a JSON array.
type JSONWriter struct {
	w     io.Writer
	begun bool
}

// NewJSONWriter returns a writer.
func NewJSONWriter(w io.Writer) *JSONWriter { return &JSONWriter{w: w} }

// Write writes a device.
func (j *JSONWriter) Write(d api.Device) error {
	raw, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode device %s: %w", d.Ref, err)
	}
	between := "[\n"
	if j.begun {
		between = ",\n"
	}
	j.begun = true
	_, err = j.w.Write(append([]byte(between), raw...))
	return err
}

// Close ends the array.
func (j *JSONWriter) Close() error {
	end := "\n]\n"
	if !j.begun {
		end = "[]\n"
	}
	_, err := io.WriteString(j.w, end)
	return err
}
