package fleet

import "time"

// A bucket is a token bucket in four bytes: the moment at which it will be full
// again, in eighths of a second, counted round and round for 17 years (the
// generic cell rate algorithm). A moment further ahead than an empty bucket takes
// to fill is one long past.
type bucket uint32

const (
	bucketUnit  = time.Second / 8
	bucketToken = bucket(time.Second / bucketUnit / deviceRate)
	bucketFill  = bucketToken * deviceBurst
)

// take takes one request, or says how long until there is one.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	at := bucket(now.UnixMilli() / bucketUnit.Milliseconds())
	missing := *b - at // of a full one, as time
	if missing > bucketFill {
		missing = 0
	}
	if short := missing + bucketToken; short > bucketFill {
		return time.Duration(short-bucketFill) * bucketUnit
	}
	*b = at + missing + bucketToken
	return 0
}
