package repository

import (
	"context"
	"errors"
	"fmt"
)

// A Report is what Fsck found.
type Report struct {
	Problems  []Finding `json:"problems"`  // the repository is not sound
	Leftovers []Finding `json:"leftovers"` // harmless traces of what broke off, or of what is running; Repair removes them
	Foreign   []Finding `json:"foreign"`   // files among the images that nobody here made; harmless, and never touched

	Keysets        int   `json:"keysets"`
	Releases       int   `json:"releases"`
	Images         int   `json:"images"`
	ImageBytes     int64 `json:"image_bytes"`
	AuditRecords   int64 `json:"audit_records"`
	AuditConfirmed int64 `json:"audit_confirmed"` // the newest record that a checkpoint vouches for
}

// A Finding is one thing that Fsck found.
type Finding struct {
	Object  string `json:"object"`
	Problem string `json:"problem"`
}

// String returns the finding as a sentence.
func (f Finding) String() string { return f.Object + ": " + f.Problem }

// Sound reports whether the repository is as it should be.
func (r Report) Sound() bool { return len(r.Problems) == 0 }

// Fsck reads everything and says whether the repository is sound, which is:
//
//   - The database file is whole, and every reference in it leads somewhere.
//   - Every public key has the id under which it is stored.
//   - The first keyset of each device type is signed by its own roots, and each later
//     one was to be accepted by who held the one before.
//   - Every release's manifest verifies under the keyset it was accepted under, and the
//     columns by which it is searched say what the manifest says.
//   - Every release's image is there, with the size and the digest of the manifest, and
//     its document with its digest.
//   - Whatever stands at the place of an image hashes to its name.
//   - The audit log is unbroken, agrees with its checkpoints, and tells of every release.
//
// It changes nothing, holds no lock, and may run beside a server. Its error
// says that it could not finish, not what it found.
func (r *Repository) Fsck(ctx context.Context) (Report, error) {
	c := check{r: r, fresh: &Repository{}, ctx: ctx}
	for _, step := range []func() error{c.database, c.rows, c.images, c.files, c.auditLog} {
		err := step()
		if errors.Is(err, ErrDamaged) { // so much so that it cannot be read
			c.problem("database", err)
			continue
		}
		if err != nil {
			return c.report, fmt.Errorf("check repository %s: %w", r.dir, err)
		}
	}
	return c.report, nil
}
