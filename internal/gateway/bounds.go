package gateway

import "golang.org/x/time/rate"

// Rates of what one line can do.
const (
	// Requests to the server, a second and in a burst: a flood on one line must
	// not use up the server's limit for the address, which all lines share.
	serverRate  = 5
	serverBurst = 30

	frameRate = 1000 // frames and other finds a second

	// Events: a device must not fill the log.
	eventRate  = 20
	eventBurst = 200
)

// bounds are what is left to a line. They outlive the connection: a device that
// unplugs itself again and again gets no new ones.
type bounds struct{ requests, events *rate.Limiter }

func newBounds() bounds {
	return bounds{rate.NewLimiter(serverRate, serverBurst), rate.NewLimiter(eventRate, eventBurst)}
}
