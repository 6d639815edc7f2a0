package protocol

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// StallTime is how long a request's body may make no progress.
const StallTime = 60 * time.Second

// Patient returns the body of a request that may be of any length, and is read
// as long as some of it comes: the deadlines of the connection move along with
// it.
func Patient(w http.ResponseWriter, r *http.Request) io.Reader {
	return &patient{body: r.Body, control: http.NewResponseController(w)}
}

type patient struct {
	body    io.Reader
	control *http.ResponseController
	last    time.Time
}

// Read implements io.Reader.
func (p *patient) Read(buf []byte) (int, error) {
	if now := time.Now(); now.Sub(p.last) > time.Second {
		p.last = now
		if err := errors.Join(p.control.SetReadDeadline(now.Add(StallTime)), p.control.SetWriteDeadline(now.Add(2*StallTime))); err != nil {
			return 0, err
		}
	}
	return p.body.Read(buf)
}
