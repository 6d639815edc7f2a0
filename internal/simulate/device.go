package simulate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/secure-ota/secure-ota/trust"
)

// A device is what a simulated device remembers, in 16 bytes.
type device struct {
	nonce  uint64
	runs   uint16 // image
	target uint16 // image that is being installed
	state  state
	boot   trust.BootState
}

// A state is what a device does next.
type state uint8

const (
	resting     state = iota // asks what there is to install
	downloading              // fetches it
	booting                  // starts it
	trying                   // confirms it
	bricked                  // nothing, ever
)

// Times of an update.
const (
	bootTime  = 300 * time.Millisecond
	trialTime = 200 * time.Millisecond
	nonces    = 64 // that a device reserves at a time, and skips when it restarts
)

var factoryImage = sha256.Sum256([]byte("the image of the factory"))

// act lets a device do what it does next, and says when it acts again; never,
// if ok is false.
func (s *simulation) act(i uint32, l *link) (again time.Duration, ok bool) {
	d := &s.devices[i]
	l.address = [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}
	var err error
	switch d.state {
	case resting:
		again, err = s.check(i, d, l)
	case downloading:
		again, err = s.download(i, d, l)
	case booting:
		again, err = s.start(i, d, l)
	case trying:
		again, err = s.confirm(i, d, l)
	}
	switch {
	case errors.Is(err, errLost):
		s.count.lost.Add(1)
		again = s.soon(i, d)
	case errors.Is(err, errStatus):
		s.count.refused.Add(1)
		s.note(err)
		again = s.soon(i, d)
	case err != nil:
		s.count.broken.Add(1)
		s.note(err)
		again = s.soon(i, d)
	}
	return again, d.state != bricked
}

// errLost is an answer that came to nobody.
var errLost = errors.New("lost on the way")

// rest is when a device asks again, a tenth of the interval early or late, so
// that a fleet that started together does not stay together.
func (s *simulation) rest(i uint32, d *device) time.Duration {
	return time.Duration((0.9 + 0.2*s.chance.draw(drawPause, i, d.nonce)) * float64(s.cfg.Every))
}

// soon is when a device tries again.
func (s *simulation) soon(i uint32, d *device) time.Duration {
	return s.rest(i, d)/10 + 50*time.Millisecond
}

// post sends a sealed message and loses the answer now and then.
func (s *simulation) post(i uint32, d *device, l *link, path string, sealed []byte) (answer, error) {
	a, err := l.do(http.MethodPost, path, "application/cose", sealed, 0, true)
	switch {
	case err != nil:
		return a, err
	case s.chance.happens(s.cfg.Loss, drawLoss, i, d.nonce):
		return a, errLost
	case a.status >= 300:
		return a, fmt.Errorf("%w: %s: status %d: %s", errStatus, path, a.status, a.body)
	}
	return a, nil
}

func (s *simulation) check(i uint32, d *device, l *link) (time.Duration, error) {
	id, keys, err := s.identity(i)
	if err != nil {
		return 0, err
	}
	d.nonce++
	if s.chance.happens(s.cfg.Reboot, drawReboot, i, d.nonce) {
		d.nonce += nonces
		s.count.reboots.Add(1)
	}
	run := s.images.at(d.runs)
	sealed, err := trust.CheckRequest{
		Device: id.ID, DeviceType: id.DeviceType, Nonce: d.nonce, Sequence: run.sequence, ImageDigest: run.digest, KeysetVersion: 1, Boot: d.boot,
	}.Seal(keys.Up)
	if err != nil {
		return 0, err
	}
	asked := time.Now()
	a, err := s.post(i, d, l, "/v1/check", sealed)
	if err != nil {
		return 0, err
	}
	s.latency.add(time.Since(asked))
	s.count.checks.Add(1)
	got, err := trust.OpenCheckResponse(a.body, keys.Down, id.ID, d.nonce)
	if err != nil {
		return 0, err
	}
	if got.ManifestHash.IsZero() {
		return s.rest(i, d), nil
	}
	s.count.offers.Add(1)
	signed, err := l.do(http.MethodGet, "/v1/manifest/"+got.ManifestHash.String(), "", nil, 0, true)
	if err != nil {
		return 0, err
	}
	if signed.status != http.StatusOK {
		return 0, fmt.Errorf("%w: manifest %s: status %d", errStatus, got.ManifestHash, signed.status)
	}
	if d.target, err = s.images.learn(got.ManifestHash, signed.body); err != nil {
		return 0, err
	}
	d.state = downloading
	return tick, s.report(i, d, l, trust.EventDownloading, d.runs)
}

func (s *simulation) download(i uint32, d *device, l *link) (time.Duration, error) {
	id, _, err := s.identity(i)
	if err != nil {
		return 0, err
	}
	rate := 0
	if s.chance.happens(s.cfg.Slow, drawSlow, i, 0) {
		rate = SlowRate
	}
	a, err := l.do(http.MethodGet, "/v1/firmware/"+s.images.at(d.target).digest.String()+"?device="+id.ID, "", nil, rate, false)
	switch {
	case err != nil:
		return 0, err
	case a.status != http.StatusOK:
		return 0, fmt.Errorf("%w: firmware: status %d: %s", errStatus, a.status, a.body)
	}
	s.count.downloads.Add(1)
	if s.chance.happens(s.cfg.Fail, drawFail, i, d.nonce) {
		d.state = resting
		s.count.failed.Add(1)
		return s.rest(i, d), s.report(i, d, l, trust.EventFailed, d.runs)
	}
	d.state = booting
	return bootTime, s.report(i, d, l, trust.EventInstalled, d.runs)
}

func (s *simulation) start(i uint32, d *device, l *link) (time.Duration, error) {
	switch {
	case s.chance.happens(s.cfg.Brick, drawBrick, i, uint64(d.target)):
		d.state = bricked
		s.count.bricked.Add(1)
		return 0, nil
	case s.chance.happens(s.cfg.Revert, drawRevert, i, uint64(d.target)):
		d.state, d.boot = resting, trust.BootReverted
		s.count.reverted.Add(1)
		return s.rest(i, d), s.report(i, d, l, trust.EventReverted, d.runs)
	}
	d.state = trying
	return trialTime, s.report(i, d, l, trust.EventTrial, d.target)
}

func (s *simulation) confirm(i uint32, d *device, l *link) (time.Duration, error) {
	if err := s.report(i, d, l, trust.EventConfirmed, d.target); err != nil {
		return 0, err
	}
	s.images.move(d.runs, d.target)
	d.runs, d.state, d.boot = d.target, resting, trust.BootConfirmed
	s.count.confirmed.Add(1)
	return s.rest(i, d), nil
}

// report says what became of an update, and that an image runs.
func (s *simulation) report(i uint32, d *device, l *link, event trust.Event, runs uint16) error {
	id, keys, err := s.identity(i)
	if err != nil {
		return err
	}
	d.nonce++
	run := s.images.at(runs)
	sealed, err := trust.Report{
		Device: id.ID, DeviceType: id.DeviceType, Nonce: d.nonce, Event: event, Sequence: run.sequence, ImageDigest: run.digest,
		Target: s.images.at(d.target).manifest,
	}.Seal(keys.Up)
	if err != nil {
		return err
	}
	sent := time.Now()
	if _, err := s.post(i, d, l, "/v1/report", sealed); err != nil {
		return err
	}
	s.count.reports.Add(1)
	s.reportLatency.add(time.Since(sent))
	return nil
}
