package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/home"
	semver "github.com/secure-ota/secure-ota/version"
)

// maxJump is how far ahead of the home a server's last release number may be.
// The number comes from the server, and is signed: one that lies must not make
// this home use up a key epoch.
const maxJump = 100_000

var errJump = errors.New("the release number jumps")

// published returns what a target has of a device type. A jump of its numbers
// is refused unless somebody said which number the release has.
func published(ctx context.Context, m api.Management, h *home.Home, deviceType string, numbered bool) (*offline.Published, error) {
	releases, err := m.Releases(ctx, deviceType)
	if err != nil {
		return nil, err
	}
	ours, err := h.LastSequence(deviceType)
	if err != nil {
		return nil, err
	}
	p := &offline.Published{}
	for _, r := range releases {
		if r.Sequence > p.Sequence {
			p.Sequence, p.Counter = r.Sequence, r.SecurityCounter
		}
	}
	if !numbered && p.Sequence > ours+maxJump && p.Sequence.Epoch() == max(ours.Epoch(), 1) {
		return nil, fmt.Errorf("the server says that its last release of %s is %s, this home's is %s: %w", deviceType, p.Sequence, ours, errJump)
	}
	return p, nil
}

// newestVersion returns the version that a new release of a component has to be
// above, zero if that is not known here: a server says it itself, and so late
// that the release number is used up.
func newestVersion(ctx context.Context, m api.Management, deviceType, component string) (semver.Version, error) {
	local, ok := m.(*api.Local)
	if !ok {
		return semver.Version{}, nil
	}
	releases, err := local.Repository.Versions(ctx, deviceType)
	if err != nil {
		return semver.Version{}, err
	}
	for _, r := range releases { // the newest first
		if m := r.Manifest.Manifest(); m.Component == component && !m.Downgrade() {
			return m.Version, nil
		}
	}
	return semver.Version{}, nil
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
