package protocol

import "net/http"

// An Exchange watches the answer to an operator's request, for the access log.
// It is never put around the answer to a device: a firmware stream would lose
// sendfile.
type Exchange struct {
	http.ResponseWriter
	Status int    // of HTTP; 0: nothing was answered
	Bytes  int64  // of the body
	Actor  string // who asked, once that is known
}

// WriteHeader implements http.ResponseWriter.
func (e *Exchange) WriteHeader(status int) {
	if e.Status == 0 && status >= http.StatusOK { // those below announce the answer
		e.Status = status
	}
	e.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (e *Exchange) Write(p []byte) (int, error) {
	if e.Status == 0 {
		e.Status = http.StatusOK
	}
	n, err := e.ResponseWriter.Write(p)
	e.Bytes += int64(n)
	return n, err
}

// Unwrap lets an http.ResponseController reach the connection.
func (e *Exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// SetActor notes in the Exchange around w, if there is one, who asked.
func SetActor(w http.ResponseWriter, actor string) {
	for {
		switch under := w.(type) {
		case *Exchange:
			under.Actor = actor
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = under.Unwrap()
		default:
			return
		}
	}
}
