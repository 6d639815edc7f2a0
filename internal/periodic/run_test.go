package periodic_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secure-ota/secure-ota/internal/periodic"
)

func TestRunGoesOnAfterAFailureAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer stop()
		var log bytes.Buffer
		times := 0
		periodic.Run(ctx, time.Second, slog.New(slog.NewTextHandler(&log, nil)), func(context.Context) error {
			times++
			if times == 2 {
				return errors.New("disk full")
			}
			return nil
		})
		if times != 3 || strings.Count(log.String(), "disk full") != 1 {
			t.Errorf("worked %d times, log %q", times, &log)
		}
	})
}
