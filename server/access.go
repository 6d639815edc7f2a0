package server

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/internal/protocol"
)

// operated answers requests of operators with a request id, and writes a line
// of the access log and a metric for each. seen is the level at which a page
// that was only looked at is logged: consoles ask every few seconds.
func (s *Server) operated(next http.Handler, seen slog.Level) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, start := &protocol.Exchange{ResponseWriter: w}, time.Now()
		id := protocol.RequestID(w)
		next.ServeHTTP(x, r)
		took, route := time.Since(start), cmp.Or(r.Pattern, "/")
		s.metrics.Managed(r.Method, route, x.Status, took)
		if x.Status == http.StatusUnauthorized {
			s.metrics.NotAuthenticated()
		}
		level := slog.LevelInfo
		if x.Status < http.StatusBadRequest && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			level = seen
		}
		s.cfg.Log.LogAttrs(context.WithoutCancel(r.Context()), level, "request",
			slog.String("request", id), slog.String("actor", cmp.Or(x.Actor, "nobody")), slog.String("method", r.Method),
			slog.String("route", route), slog.Int("status", x.Status), slog.Duration("took", took),
			slog.Int64("bytes", x.Bytes), slog.String("address", r.RemoteAddr))
	})
}
