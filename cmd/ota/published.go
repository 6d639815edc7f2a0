package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/home"
)

// maxJump is how far ahead of the home a server's last release number may be.
// The number comes from the server, and is signed: one that lies must not make
// this home use up a key epoch.
const maxJump = 100_000

var errJump = errors.New("the release number jumps")

// published returns what a target has of a component of a device type. A jump
// of its numbers is refused unless somebody said which number the release has.
func published(ctx context.Context, m api.Management, h *home.Home, deviceType, component string, numbered bool) (*offline.Published, error) {
	releases, err := m.Releases(ctx, deviceType)
	if err != nil {
		return nil, err
	}
	ours, err := h.LastSequence(deviceType)
	if err != nil {
		return nil, err
	}
	p := &offline.Published{}
	for _, r := range slices.Backward(releases) { // the oldest first
		p.Sequence, p.Counter = r.Sequence, r.SecurityCounter
		if r.Component == component && !r.Downgrade {
			p.Version = r.Version
		}
	}
	if !numbered && p.Sequence > ours+maxJump && p.Sequence.Epoch() == max(ours.Epoch(), 1) {
		return nil, fmt.Errorf("the server says that its last release of %s is %s, this home's is %s: %w", deviceType, p.Sequence, ours, errJump)
	}
	return p, nil
}

// patience is how long a publish waits for another one without a word.
const patience = time.Second

// publishAlone runs publish after whatever this home is publishing now: two at
// once would take numbers in one order and arrive in another.
func publishAlone(e *env.Env, h *home.Home, publish func() error) error {
	word := time.AfterFunc(patience, func() { e.Say("this home is publishing something else: waiting for it") })
	return h.PublishAlone(func() error {
		word.Stop()
		return publish()
	})
}
