package fleet

import (
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"
)

// A bucket says what the limiter of the library says, at its own resolution.
func TestABucketIsATokenBucket(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var b bucket
		limiter := rate.NewLimiter(deviceRate, deviceBurst)
		now := time.Unix(1_800_000_000, 0)
		for range rapid.IntRange(1, 300).Draw(rt, "requests") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 2, 8, 9, 400}).Draw(rt, "pause")) * bucketUnit)
			reserved := limiter.ReserveN(now, 1)
			want := reserved.DelayFrom(now)
			if want > 0 {
				reserved.CancelAt(now)
			}
			if got := b.take(now); got != want {
				rt.Fatalf("wait %s, want %s", got, want)
			}
		}
	})
}

func TestABucketIsFullAfterALongTime(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for _, pause := range []time.Duration{time.Hour, 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, -time.Hour} {
		var b bucket
		for range deviceBurst {
			b.take(start)
		}
		if b.take(start) == 0 {
			t.Fatal("more than a burst")
		}
		for range deviceBurst {
			if wait := b.take(start.Add(pause)); wait != 0 {
				t.Fatalf("after %s: wait %s", pause, wait)
			}
		}
	}
}
