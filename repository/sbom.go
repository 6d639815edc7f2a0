package repository

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/sbom"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
)

// AddSBOM stores a software bill of materials under its digest, by which
// release documents name it. What is none of the formats of package sbom is
// refused (sbom.ErrInvalid). One that is stored already changes nothing.
func (r *Repository) AddSBOM(ctx context.Context, actor Actor, raw []byte) (manifest.Digest, error) {
	digest := manifest.Digest(sha256.Sum256(raw))
	info, err := sbom.Parse(raw)
	if err != nil {
		return digest, fmt.Errorf("add SBOM: %w", err)
	}
	if err := r.roomInDatabase(int64(len(raw))); err != nil {
		return digest, fmt.Errorf("add SBOM: %w", advise(err))
	}
	entry := audit.Entry{Actor: actor.Name, Address: actor.Address, Action: "sbom.add", Object: "sbom:" + digest.String(), After: audit.JSON(info)}
	err = r.db.Change(ctx, entry, func(tx *store.Tx) error {
		rows, err := tx.Exec(`INSERT INTO documents (digest, content) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING`, digest[:], raw)
		if err == nil && rows == 0 {
			return store.NoChange
		}
		return err
	})
	if err != nil {
		return digest, fmt.Errorf("add SBOM: %w", advise(err))
	}
	return digest, nil
}

// roomInDatabase refuses what would take the last of the disk from the database,
// as images do: whoever may bring files must not be able to stop reports and
// changes. A database elsewhere says itself when it is full.
func (r *Repository) roomInDatabase(size int64) error {
	if r.db.Shared() {
		return nil
	}
	free, err := blob.DiskFree(r.dir)
	if err != nil {
		return fmt.Errorf("ask for free disk space: %w", err)
	}
	if free-r.reserve < 2*size { // it stands in the log of the database, too
		return fmt.Errorf("%w: %d bytes do not fit: %d are free, of which %d stay reserved", ErrFull, size, free, r.reserve)
	}
	return nil
}
