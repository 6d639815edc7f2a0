package protocol

import (
	"crypto/rand"
	"net/http"
)

// headerRequestID is canonical, so that the map can be asked directly.
const headerRequestID = "X-Request-Id"

// maxRequestID bounds an id that comes from a proxy, in bytes.
const maxRequestID = 64

// RequestID returns the id by which an answer is found in the log, and gives
// the answer one if it has none. Every answer to an operator and every error has
// one. A device's answer has none: making it, and sending it, would cost more
// than a tenth of an update check.
func RequestID(w http.ResponseWriter) string {
	if have := w.Header()[headerRequestID]; len(have) == 1 {
		return have[0]
	}
	id := rand.Text()[:16]
	w.Header()[headerRequestID] = []string{id}
	return id
}

// AdoptRequestID makes the id that a request came with the one of its answer.
// It is for requests of proxies that are trusted with it. An id that could not
// stand in a log as it is, is left alone.
func AdoptRequestID(w http.ResponseWriter, r *http.Request) {
	ids := r.Header[headerRequestID]
	if len(ids) != 1 || !plainID(ids[0]) {
		return
	}
	w.Header()[headerRequestID] = []string{ids[0]}
}

func plainID(id string) bool {
	for _, c := range []byte(id) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return id != "" && len(id) <= maxRequestID
}
