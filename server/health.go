package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/secure-ota/secure-ota/internal/protocol"
)

// How the server knows that it is well.
const (
	probeInterval = 2 * time.Second
	probeTimeout  = 2 * time.Second

	// freshSnapshot is the age of a snapshot that is kept up to date;
	// servedSnapshot that up to which devices are better served from it than
	// sent away: for so long the database may be gone.
	freshSnapshot  = 30 * time.Second
	servedSnapshot = 15 * time.Minute
)

// health is what the server knows of itself. Questions are answered from
// memory: whoever asks costs the database nothing.
type health struct {
	stored    atomic.Bool      // the database answered the last probe
	writable  atomic.Bool      // and stores what it is given
	refreshed func() time.Time // as fleet.Fleet.Refreshed
	now       func() time.Time
}

// probe asks the database whether it is there, and says so when that changes.
func (s *Server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	db := s.repository.Store()
	_, err := db.Generation(ctx)
	switch was := s.health.stored.Swap(err == nil); {
	case was && err != nil:
		s.cfg.Log.Error("server: the database does not answer; devices are answered from memory", "error", err)
	case !was && err == nil:
		s.cfg.Log.Info("server: the database answers")
	}
	if err != nil { // which is said already
		s.health.writable.Store(false)
		return nil
	}
	err = db.Writable(ctx)
	switch was := s.health.writable.Swap(err == nil); {
	case was && err != nil:
		s.cfg.Log.Error("server: the database stores nothing; reports and changes are refused until it does: free disk space, or see who holds its lock", "error", err)
	case !was && err == nil:
		s.cfg.Log.Info("server: the database stores what it is given")
	}
	return nil
}

func (h *health) age() time.Duration { return h.now().Sub(h.refreshed()) }

// readiness is the answer of /readyz. It names what is not well and nothing
// else: anybody may ask.
type readiness struct {
	Ready    bool `json:"ready"`
	Database bool `json:"database"` // it answers
	Writable bool `json:"writable"` // and stores what it is given
	Snapshot bool `json:"snapshot"` // what devices are answered from is what it holds
}

// ready says whether everything works.
func (h *health) ready() readiness {
	r := readiness{Database: h.stored.Load(), Writable: h.writable.Load(), Snapshot: h.age() <= freshSnapshot}
	r.Ready = r.Database && r.Writable && r.Snapshot
	return r
}

// readyForDevices says whether checks and downloads are answered, which they
// are for a while without the database.
func (h *health) readyForDevices() readiness {
	r := h.ready()
	r.Ready = h.age() <= servedSnapshot
	return r
}

// serve answers the paths of health checks, and reports whether it was one.
func (h *health) serve(w http.ResponseWriter, r *http.Request) bool {
	var answer readiness
	switch r.URL.Path {
	case "/healthz":
		w.Header().Set("Cache-Control", "no-store")
		protocol.WriteBytes(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
		return true
	case "/readyz":
		answer = h.ready()
	case "/readyz/devices":
		answer = h.readyForDevices()
	default:
		return false
	}
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	protocol.WriteJSON(w, status, answer) // three booleans encode
	return true
}
