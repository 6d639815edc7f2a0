package front

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A reply is an answer that is being put together. For one that fails it is an
// http.ResponseWriter, so that there is one place where errors become answers.
type reply struct {
	raw    []byte
	status int
	header http.Header
	body   []byte
}

var replies = sync.Pool{New: func() any { return &reply{raw: make([]byte, 0, 1<<10)} }}

// release gives the reply back, empty.
func (r *reply) release() {
	*r = reply{raw: r.raw[:0], body: r.body[:0]}
	replies.Put(r)
}

// check is the answer to a check that has one.
func (r *reply) check(body []byte) {
	r.raw = append(r.raw, "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: application/cose\r\nDate: "...)
	r.raw = append(r.raw, date()...)
	r.raw = append(r.raw, "\r\nContent-Length: "...)
	r.raw = strconv.AppendInt(r.raw, int64(len(body)), 10)
	r.raw = append(r.raw, "\r\n\r\n"...)
	r.raw = append(r.raw, body...)
}

// Header implements http.ResponseWriter.
func (r *reply) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

// WriteHeader implements http.ResponseWriter.
func (r *reply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *reply) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.body = append(r.body, p...)
	return len(p), nil
}

// finish puts what a handler wrote into raw.
func (r *reply) finish() {
	r.Header().Set("Date", date())
	r.header.Set("Content-Length", strconv.Itoa(len(r.body)))
	out := bytes.NewBuffer(r.raw)
	fmt.Fprintf(out, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
	r.header.Write(out) // into memory: it does not fail
	out.WriteString("\r\n")
	out.Write(r.body)
	r.raw = out.Bytes()
}

// A moment is a second and its words.
type moment struct {
	unix int64
	text string
}

var lastDate atomic.Pointer[moment]

// date returns the value of Date (RFC 9110 section 6.6.1), which is put into
// words once a second.
func date() string {
	now := time.Now()
	m := lastDate.Load()
	if m == nil || m.unix != now.Unix() {
		m = &moment{now.Unix(), now.UTC().Format(http.TimeFormat)}
		lastDate.Store(m)
	}
	return m.text
}
