package repository

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"

	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// Versions returns the releases of a device type, newest first: by sequence,
// the order in which devices see them. Withdrawn ones are among them.
func (r *Repository) Versions(ctx context.Context, deviceType string) ([]Release, error) {
	found, err := r.releases(ctx, `WHERE device_type = $1 ORDER BY key_epoch DESC, release_number DESC`, deviceType)
	if err != nil {
		return nil, fmt.Errorf("releases of device type %s: %w", deviceType, err)
	}
	return found, nil
}

// Release returns a release by its identity.
func (r *Repository) Release(ctx context.Context, identity manifest.Digest) (Release, error) {
	return r.release(ctx, "release", identity, `WHERE identity = $1`)
}

// ByManifestHash returns a release by the hash of its signed manifest.
func (r *Repository) ByManifestHash(ctx context.Context, hash manifest.Digest) (Release, error) {
	return r.release(ctx, "release with manifest", hash, `WHERE manifest_hash = $1`)
}

// ByImage returns the releases that install an image, newest first.
func (r *Repository) ByImage(ctx context.Context, digest manifest.Digest) ([]Release, error) {
	found, err := r.releases(ctx, `WHERE image_digest = $1 ORDER BY key_epoch DESC, release_number DESC`, digest[:])
	if err != nil {
		return nil, fmt.Errorf("releases of image %s: %w", digest, err)
	}
	return found, nil
}

// Document returns a release document by its digest, as the manifest names
// it.
func (r *Repository) Document(ctx context.Context, digest manifest.Digest) (raw []byte, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		return tx.Get(`SELECT content FROM documents WHERE digest = $1`, []any{digest[:]}, &raw)
	})
	if err == nil && sha256.Sum256(raw) != digest {
		err = ErrDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("release document %s: %w", digest, err)
	}
	return raw, nil
}

func (r *Repository) release(ctx context.Context, what string, digest manifest.Digest, where string) (Release, error) {
	found, err := r.releases(ctx, where, digest[:])
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Release{}, fmt.Errorf("%s %s: %w", what, digest, err)
	}
	return found[0], nil
}

// findRelease returns a release by its identity. Keysets that are read already
// are not read again.
func (r *Repository) findRelease(tx *store.Tx, identity manifest.Digest, read ...heldKeyset) (Release, error) {
	rows, err := releaseRows(tx, `WHERE identity = $1`, identity[:])
	if err != nil {
		return Release{}, err
	}
	if len(rows) == 0 {
		return Release{}, ErrNotFound
	}
	keysets := newKeysetReader(r, tx)
	for _, ks := range read {
		keysets.read[keysetName{ks.Keyset().DeviceType, ks.Keyset().Version}] = ks
	}
	return keysets.reopen(rows[0])
}

func (r *Repository) releases(ctx context.Context, where string, args ...any) (found []Release, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		found, err = r.readReleases(tx, where, args...)
		return err
	})
	return found, err
}

// readReleases reads releases and verifies their manifests again.
func (r *Repository) readReleases(tx *store.Tx, where string, args ...any) ([]Release, error) {
	rows, err := releaseRows(tx, where, args...)
	if err != nil {
		return nil, err
	}
	found := make([]Release, 0, len(rows))
	keysets := newKeysetReader(r, tx)
	for _, row := range rows {
		release, err := keysets.reopen(row)
		if err != nil {
			return nil, err
		}
		found = append(found, release)
	}
	return found, nil
}

// A releaseRow is a row of the table releases, unverified.
type releaseRow struct {
	identity, image, manifest, hash []byte
	deviceType, component, version  string
	epoch, number                   uint32
	downgrade                       bool
	counter                         uint32
	document                        []byte
	keysetVersion                   uint32
	published                       int64
	publishedBy                     string
	size                            sql.NullInt64 // of the image; null: there is no row of it
	sha1, md5                       []byte
	withdrawn                       sql.NullInt64
	withdrawnBy, withdrawnReason    sql.NullString
}

func releaseRows(tx *store.Tx, where string, args ...any) (rows []releaseRow, err error) {
	err = tx.Each(`SELECT identity, device_type, component, key_epoch, release_number, version, downgrade, security_counter, image_digest,
			document_digest, manifest, manifest_hash, keyset_version, published_ms, published_by, withdrawn_ms, withdrawn_by, withdrawn_reason,
			size, sha1, md5
		FROM releases LEFT JOIN blobs ON digest = image_digest `+where, args, func(scan func(...any) error) error {
		var w releaseRow
		err := scan(&w.identity, &w.deviceType, &w.component, &w.epoch, &w.number, &w.version, &w.downgrade, &w.counter, &w.image,
			&w.document, &w.manifest, &w.hash, &w.keysetVersion, &w.published, &w.publishedBy, &w.withdrawn, &w.withdrawnBy, &w.withdrawnReason,
			&w.size, &w.sha1, &w.md5)
		rows = append(rows, w)
		return err
	})
	return rows, err
}

// A keysetReader makes releases of rows, and reads each keyset once for it.
type keysetReader struct {
	r    *Repository
	tx   *store.Tx
	read map[keysetName]heldKeyset
}

func newKeysetReader(r *Repository, tx *store.Tx) *keysetReader {
	return &keysetReader{r: r, tx: tx, read: map[keysetName]heldKeyset{}}
}

type keysetName struct {
	deviceType string
	version    uint32
}

// reopen makes a Release of a row. What does not verify is not returned: the
// database is no authority over what a release says.
func (k *keysetReader) reopen(w releaseRow) (Release, error) {
	verified, err := k.reverify(w)
	if err != nil {
		return Release{}, fmt.Errorf("release %x: %w", w.identity, err)
	}
	release := Release{
		Manifest: verified, ManifestHash: verified.Hash(), Image: w.sums(), KeysetVersion: w.keysetVersion,
		Published: time.UnixMilli(w.published).UTC(), PublishedBy: w.publishedBy,
	}
	if w.withdrawn.Valid {
		release.Withdrawal = &Withdrawal{time.UnixMilli(w.withdrawn.Int64).UTC(), w.withdrawnBy.String, w.withdrawnReason.String}
	}
	return release, nil
}

// reverify verifies the manifest of a row under the keyset it was accepted
// under, and holds the row's other columns against it.
func (k *keysetReader) reverify(w releaseRow) (trust.VerifiedManifest, error) {
	name := keysetName{w.deviceType, w.keysetVersion}
	ks, ok := k.read[name]
	if !ok {
		var err error
		if ks, err = k.r.storedKeyset(k.tx, name.deviceType, name.version); err != nil {
			return trust.VerifiedManifest{}, incomplete(err)
		}
		k.read[name] = ks
	}
	verified, err := k.r.verifyManifest(ks, w.manifest)
	if err == nil {
		err = w.agrees(verified)
	}
	if err != nil {
		return trust.VerifiedManifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return verified, nil
}

func (w releaseRow) sums() Sums {
	s := Sums{SHA256: manifest.Digest(w.image), Size: w.size.Int64}
	copy(s.SHA1[:], w.sha1)
	copy(s.MD5[:], w.md5)
	return s
}

// agrees says whether the columns of the row are those of its manifest.
func (w releaseRow) agrees(v trust.VerifiedManifest) error {
	m, identity, hash := v.Manifest(), v.Identity(), v.Hash()
	switch {
	case string(w.identity) != string(identity[:]):
		return fmt.Errorf("the manifest is that of release %s", identity)
	case string(w.hash) != string(hash[:]):
		return fmt.Errorf("the manifest hashes to %s", hash)
	case w.deviceType != m.DeviceType, w.component != m.Component:
		return fmt.Errorf("the manifest is for device type %s, component %q", m.DeviceType, m.Component)
	case manifest.NewSequence(w.epoch, w.number) != m.Sequence:
		return fmt.Errorf("the manifest has sequence %s", m.Sequence)
	case w.version != m.Version.String():
		return fmt.Errorf("the manifest has version %s", m.Version)
	case w.downgrade != m.Downgrade(), w.counter != m.SecurityCounter:
		return fmt.Errorf("the manifest has security counter %d, downgrade %t", m.SecurityCounter, m.Downgrade())
	case string(w.image) != string(m.ImageDigest[:]), w.size.Int64 != int64(m.ImageSize):
		return fmt.Errorf("the manifest names image %s of %d bytes", m.ImageDigest, m.ImageSize)
	case m.ReleaseDigest.IsZero() != (len(w.document) == 0),
		!m.ReleaseDigest.IsZero() && string(w.document) != string(m.ReleaseDigest[:]):
		return fmt.Errorf("the manifest names release document %s", m.ReleaseDigest)
	}
	return nil
}

func imageSums(tx *store.Tx, digest manifest.Digest) (Sums, error) {
	s := Sums{SHA256: digest}
	var sha1, md5 []byte
	if err := tx.Get(`SELECT size, sha1, md5 FROM blobs WHERE digest = $1`, []any{digest[:]}, &s.Size, &sha1, &md5); err != nil {
		return Sums{}, fmt.Errorf("image %s: %w", digest, err)
	}
	copy(s.SHA1[:], sha1)
	copy(s.MD5[:], md5)
	return s, nil
}
