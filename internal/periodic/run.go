// Package periodic repeats work in the background.
package periodic

import (
	"context"
	"log/slog"
	"time"
)

// Run does the work once in every interval until ctx ends. Work that failed is
// logged, and tried again when its time comes.
func Run(ctx context.Context, interval time.Duration, log *slog.Logger, work func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := work(ctx); err != nil && ctx.Err() == nil {
				log.Error("work in the background failed, and is tried again", "error", err)
			}
		}
	}
}
