package offline

import (
	"fmt"

	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// Published is what a repository has of a device type, as far as a release has
// to be above it. It comes from a server, whose word is not to be signed: it can
// only make this side refuse, and take a higher sequence.
type Published struct {
	Sequence manifest.Sequence
	Version  version.Version // of the component; zero: none
	Counter  uint32          // security counter of the newest release
}

// allows refuses what the repository would refuse of a release of that epoch,
// before it is numbered and signed.
func (p *Published) allows(m *manifest.Manifest, ks *trust.Keyset, epoch uint32) error {
	if !m.Downgrade() && p.Version != (version.Version{}) && version.Compare(m.Version, p.Version) <= 0 {
		return fmt.Errorf("version %s is not above the published %s: %w", m.Version, p.Version, trust.ErrOldVersion)
	}
	floor := ks.SecurityFloor
	if p.Sequence.Epoch() == epoch {
		floor = max(floor, p.Counter)
	}
	if m.SecurityCounter < floor {
		return fmt.Errorf("%w: counter %d, floor %d", trust.ErrBelowFloor, m.SecurityCounter, floor)
	}
	return nil
}

// enough refuses signers that are too few for a release of the type.
func enough(ks *trust.Keyset, signers []signer) error {
	ids := map[trust.KeyID]bool{}
	for _, s := range signers {
		ids[s.Public().ID()] = true
	}
	if len(ids) < ks.ReleaseThreshold {
		return fmt.Errorf("%w: keyset version %d asks for %d release keys, given are %d", trust.ErrNotEnoughSigners, ks.Version, ks.ReleaseThreshold, len(ids))
	}
	return nil
}
