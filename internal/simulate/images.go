package simulate

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// An image is one that devices run or install.
type image struct {
	manifest manifest.Digest // hash of the signed one; zero: from the factory
	sequence manifest.Sequence
	digest   manifest.Digest
	version  string
	devices  *atomic.Int64 // that run it
}

// images are all that devices have met, by a small number.
type images struct {
	mu   sync.RWMutex
	list []image
}

func newImages() *images {
	return &images{list: []image{{digest: factoryImage, version: "factory", devices: &atomic.Int64{}}}}
}

func (s *images) at(n uint16) image {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.list[n]
}

// learn returns the number of the image that a signed manifest names.
func (s *images) learn(hash manifest.Digest, signed []byte) (uint16, error) {
	if manifest.Digest(sha256.Sum256(signed)) != hash {
		return 0, fmt.Errorf("manifest %s: other bytes came", hash)
	}
	s.mu.RLock()
	n, ok := s.find(hash)
	s.mu.RUnlock()
	if ok {
		return n, nil
	}
	m, _, err := trust.ParseManifest(signed)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.find(hash); ok {
		return n, nil
	}
	s.list = append(s.list, image{hash, m.Sequence, m.ImageDigest, m.Version.String(), &atomic.Int64{}})
	return uint16(len(s.list) - 1), nil
}

func (s *images) find(hash manifest.Digest) (uint16, bool) {
	for i, have := range s.list {
		if have.manifest == hash {
			return uint16(i), true
		}
	}
	return 0, false
}

// move counts a device from one image to another.
func (s *images) move(from, to uint16) {
	s.at(from).devices.Add(-1)
	s.at(to).devices.Add(1)
}

// versions returns how many devices run each version.
func (s *images) versions() map[string]int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	by := map[string]int64{}
	for _, i := range s.list {
		if n := i.devices.Load(); n > 0 {
			by[i.version] += n
		}
	}
	return by
}
