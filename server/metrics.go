package server

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/internal/metrics"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/internal/rollout"
)

// monitored answers what a monitoring system asks, for the listener that is
// its own: there nobody has to say who he is, so that listener is for this
// machine or a network of the operator's.
func (s *Server) monitored(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.health.serve(w, r):
	case r.URL.Path == "/metrics":
		s.metrics.ServeHTTP(w, r)
	default:
		protocol.WriteProblem(w, http.StatusNotFound, protocol.Problem{Error: "no such object", Code: "not_found", RequestID: protocol.RequestID(w)})
	}
}

// sources are what the metrics read when somebody asks for them.
func (s *Server) sources() metrics.Sources {
	return metrics.Sources{
		Devices:     s.cohorts,
		Rollouts:    s.rolloutCounts,
		Refreshed:   s.fleet.Refreshed,
		Stored:      s.health.stored.Load,
		Writable:    s.health.writable.Load,
		Audit:       s.auditState,
		Connections: func() int { return s.connections.count() },
		Room:        func() (int64, error) { return blob.DiskFree(s.cfg.Dir) },
		Certificate: s.certificateEnd,
		Now:         s.cfg.Now,
	}
}

// cohorts counts the devices by type and state, in one pass over memory. While
// a large fleet is still being read there are none: a part is not the fleet.
func (s *Server) cohorts() (cohorts []metrics.Cohort) {
	summary, err := s.fleet.Summarize("", &filter.Filter{}, "")
	if err != nil {
		return nil
	}
	for _, t := range summary.Types {
		for _, c := range t.States.Counts {
			cohorts = append(cohorts, metrics.Cohort{DeviceType: t.DeviceType, State: c.Value, Devices: c.Devices})
		}
	}
	return cohorts
}

// rolloutCounts says how far the rollouts are. Those that are under way are
// counted device by device, which are few at a time.
func (s *Server) rolloutCounts(ctx context.Context) (counts []metrics.Rollout, err error) {
	list, err := s.rollouts.List(ctx, rollout.Query{Limit: api.MaxPage})
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		one := metrics.Rollout{Name: r.Name, State: string(r.State)}
		if r.State == rollout.Running || r.State == rollout.Paused || r.State == rollout.Halted {
			c := r.Progress.Counts
			one.Devices = map[string]int{
				"waiting": c.Waiting, "offered": c.Offered, "downloading": c.Downloading, "installed": c.Installed, "trial": c.Trial, "confirmed": c.Confirmed,
				"retrying": c.Retrying, "failed": c.Failed, "reverted": c.Reverted, "refused": c.Refused, "timed out": c.TimedOut,
			}
		}
		counts = append(counts, one)
	}
	return counts, nil
}

func (s *Server) auditState(ctx context.Context) (metrics.AuditState, error) {
	db := s.repository.Store()
	signed, err := db.LatestCheckpoint(ctx)
	if err != nil {
		return metrics.AuditState{}, err
	}
	head, err := db.Generation(ctx) // afterwards, so that it is not below the checkpoint
	if err != nil || signed == nil {
		return metrics.AuditState{Head: head}, err
	}
	c, err := audit.ParseCheckpoint(signed)
	return metrics.AuditState{Head: head, Checkpoint: c.Seq, CheckpointAt: c.Time}, err
}

func (s *Server) certificateEnd() (time.Time, bool) {
	if len(s.certificate.Certificate) == 0 {
		return time.Time{}, false
	}
	leaf, err := x509.ParseCertificate(s.certificate.Certificate[0])
	if err != nil {
		return time.Time{}, false
	}
	return leaf.NotAfter, true
}
