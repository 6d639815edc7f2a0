package simulate

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in microseconds, in buckets that are at most an
// eighth wide of what they hold. It is safe for concurrent use.
type histogram struct {
	buckets [64 * 8]atomic.Int64
	longest atomic.Int64
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(uint64(d.Microseconds()))].Add(1)
	for {
		longest := h.longest.Load()
		if int64(d) <= longest || h.longest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

// bucketOf returns the bucket of a value: its leading bit and the three after it.
func bucketOf(v uint64) int {
	if v < 8 {
		return int(v)
	}
	shift := bits.Len64(v) - 4
	return (shift+1)*8 + int(v>>shift&7)
}

// top returns the greatest value of a bucket.
func top(bucket int) uint64 {
	if bucket < 8 {
		return uint64(bucket)
	}
	shift := bucket/8 - 1
	return uint64(bucket%8+9)<<shift - 1
}

// percentile returns a time that so many of a hundred durations do not exceed,
// at most an eighth too long; 0 if there are none.
func (h *histogram) percentile(percent float64) time.Duration {
	var total int64
	for i := range h.buckets {
		total += h.buckets[i].Load()
	}
	left := int64(float64(total) * percent / 100)
	for i := range h.buckets {
		n := h.buckets[i].Load()
		if left -= n; left < 0 || left == 0 && percent == 100 {
			return min(time.Duration(top(i))*time.Microsecond, time.Duration(h.longest.Load()))
		}
	}
	return time.Duration(h.longest.Load())
}
