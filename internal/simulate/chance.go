package simulate

// A chance draws what happens to a device with one message. It depends on the
// seed, the device, its nonce and what is drawn, and on nothing else.
type chance struct{ seed uint64 }

// The things that are drawn.
const (
	drawLoss = iota
	drawReboot
	drawFail
	drawRevert
	drawBrick
	drawSlow
	drawPause
)

// happens draws something that happens with that share.
func (c chance) happens(share float64, what int, device uint32, nonce uint64) bool {
	return c.draw(what, device, nonce) < share
}

// draw returns a number from 0 to below 1.
func (c chance) draw(what int, device uint32, nonce uint64) float64 {
	x := mix(mix(c.seed+uint64(what)) + uint64(device))
	return float64(mix(x+nonce)>>11) / (1 << 53)
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
