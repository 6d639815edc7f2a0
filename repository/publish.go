package repository

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// What the audit log calls what happens to releases.
const (
	actionPublish  = "release.publish"
	actionWithdraw = "release.withdraw"
)

func releaseObject(identity manifest.Digest) string { return "release:" + identity.String() }

// CheckRelease says whether the bundle's release could be published now,
// before its image travels. It changes nothing. Keysets that the bundle brings
// are not looked at: add them first.
func (r *Repository) CheckRelease(ctx context.Context, b trust.Bundle) (*manifest.Manifest, error) {
	m, _, err := r.examine(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("check release: %w", err)
	}
	return m, nil
}

// examine returns the manifest of a bundle that may be published, and the
// release if it is published already.
func (r *Repository) examine(ctx context.Context, b trust.Bundle) (m *manifest.Manifest, known *Release, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		_, verified, err := r.admissible(tx, b)
		if err != nil {
			return err
		}
		m = verified.Manifest()
		release, err := r.findRelease(tx, verified.Identity())
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		known = &release
		return err
	})
	return m, known, err
}

// AddFirmware publishes the release of a bundle with its image, which is read
// to its end and never held in memory. After nil it is durable and visible to
// every process. Adding what is there already changes nothing.
func (r *Repository) AddFirmware(ctx context.Context, actor Actor, b trust.Bundle, image io.Reader) (Release, error) {
	return r.add(ctx, actor, b, func(m *manifest.Manifest) (*Sums, error) {
		return r.takeImage(ctx, m, image)
	})
}

// AddRelease publishes the release of a bundle whose image is stored already:
// uploaded before, or that of another release. ErrNoImage: it is not.
func (r *Repository) AddRelease(ctx context.Context, actor Actor, b trust.Bundle) (Release, error) {
	return r.add(ctx, actor, b, func(m *manifest.Manifest) (*Sums, error) {
		sums, err := r.blobs.Verify(ctx, m.ImageDigest)
		if err != nil {
			return nil, err
		}
		if sums.Size != int64(m.ImageSize) {
			return nil, fmt.Errorf("%w: %d bytes, want %d", blob.ErrSize, sums.Size, m.ImageSize)
		}
		return &sums, nil
	})
}

// takeImage stores the image, or only hashes it if it is stored already.
// Its result is nil if the sums are known from then.
func (r *Repository) takeImage(ctx context.Context, m *manifest.Manifest, image io.Reader) (*Sums, error) {
	size, err := r.blobs.Stat(m.ImageDigest)
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return nil, err
	}
	if err == nil && size == int64(m.ImageSize) && r.knowsImage(ctx, m.ImageDigest) {
		return nil, blob.Check(ctx, m.ImageDigest, int64(m.ImageSize), image)
	}
	sums, err := r.blobs.Put(ctx, m.ImageDigest, int64(m.ImageSize), image)
	if err != nil {
		return nil, err
	}
	return &sums, nil
}

func (r *Repository) knowsImage(ctx context.Context, digest manifest.Digest) bool {
	err := r.db.View(ctx, func(tx *store.Tx) error {
		_, err := imageSums(tx, digest)
		return err
	})
	return err == nil
}

func (r *Repository) add(ctx context.Context, actor Actor, b trust.Bundle, image func(*manifest.Manifest) (*Sums, error)) (Release, error) {
	release, err := r.publish(ctx, actor, b, image)
	if err != nil {
		return Release{}, fmt.Errorf("publish: %w", advise(err))
	}
	return release, nil
}

func (r *Repository) publish(ctx context.Context, actor Actor, b trust.Bundle, image func(*manifest.Manifest) (*Sums, error)) (Release, error) {
	if len(b.Manifest) == 0 {
		return Release{}, ErrNoManifest
	}
	if err := r.addNewerKeysets(ctx, actor, b); err != nil {
		return Release{}, err
	}
	// Once before the image, so that gigabytes are not taken in vain, and once
	// in the transaction, because others publish, too.
	m, known, err := r.examine(ctx, b)
	if err != nil {
		return Release{}, err
	}
	sums, err := image(m)
	if err != nil {
		return Release{}, explainBlob(err)
	}
	if known != nil {
		return *known, nil
	}
	var release Release
	entry := audit.Entry{Actor: actor.Name, Address: actor.Address, Action: actionPublish}
	err = r.db.Change(ctx, entry, func(tx *store.Tx) error {
		ks, verified, err := r.admissible(tx, b)
		if err != nil {
			return err
		}
		release, err = r.findRelease(tx, verified.Identity())
		if err == nil {
			return store.NoChange // somebody else was faster with the same release
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		// Repair may have removed an image that no release named yet.
		size, err := r.blobs.Stat(verified.Manifest().ImageDigest)
		if err != nil {
			return err
		}
		if size != int64(verified.Manifest().ImageSize) {
			return fmt.Errorf("%w: %d bytes are stored, want %d", blob.ErrSize, size, verified.Manifest().ImageSize)
		}
		if err := insertRelease(tx, actor, ks, verified, b.ReleaseDocument, sums); err != nil {
			return err
		}
		describeRelease(tx.Audit(), verified)
		release, err = r.findRelease(tx, verified.Identity())
		return err
	})
	return release, explainBlob(err)
}

// admissible verifies everything about a bundle's release but its image. A
// release that is published already passes.
func (r *Repository) admissible(tx *store.Tx, b trust.Bundle) (heldKeyset, trust.VerifiedManifest, error) {
	ks, verified, err := r.verify(tx, b.Manifest)
	if err != nil {
		return ks, verified, err
	}
	m := verified.Manifest()
	if err := checkDocument(m, b.ReleaseDocument); err != nil {
		return ks, verified, err
	}
	identity := verified.Identity()
	var withdrawn *int64
	err = tx.Get(`SELECT withdrawn_ms FROM releases WHERE identity = $1`, []any{identity[:]}, &withdrawn)
	switch {
	case err == nil && withdrawn != nil:
		return ks, verified, fmt.Errorf("version %s: %w", m.Version, ErrWithdrawn)
	case err == nil:
		return ks, verified, nil
	case !errors.Is(err, ErrNotFound):
		return ks, verified, err
	}
	if err := checkRules(tx, ks.Keyset(), m); err != nil {
		return ks, verified, err
	}
	return ks, verified, nil
}

// checkDocument holds the release document against the digest in the
// manifest. A document that nobody signed would put words in the signer's
// mouth.
func checkDocument(m *manifest.Manifest, raw []byte) error {
	if len(raw) == 0 && m.ReleaseDigest.IsZero() {
		return nil
	}
	if len(raw) == 0 {
		return fmt.Errorf("%w: it is missing from the bundle", ErrDocument)
	}
	if digest := manifest.Digest(sha256.Sum256(raw)); digest != m.ReleaseDigest {
		return fmt.Errorf("%w: it hashes to %s, want %s", ErrDocument, digest, m.ReleaseDigest)
	}
	// What the signer signed is shown to people: it has to be what we can show.
	if _, err := manifest.DecodeDocument(raw); err != nil {
		return fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return nil
}

func insertRelease(tx *store.Tx, actor Actor, ks heldKeyset, v trust.VerifiedManifest, document []byte, sums *Sums) error {
	m, identity, hash := v.Manifest(), v.Identity(), v.Hash()
	now := tx.Now().UnixMilli()
	if sums != nil {
		_, err := tx.Exec(`INSERT INTO blobs (digest, size, md5, sha1, added_ms) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (digest) DO NOTHING`,
			sums.SHA256[:], sums.Size, sums.MD5[:], sums.SHA1[:], now)
		if err != nil {
			return err
		}
	}
	var documentDigest []byte
	if !m.ReleaseDigest.IsZero() {
		documentDigest = m.ReleaseDigest[:]
		_, err := tx.Exec(`INSERT INTO documents (digest, content) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING`, documentDigest, document)
		if err != nil {
			return err
		}
	}
	downgrade := 0
	if m.Downgrade() {
		downgrade = 1
	}
	_, err := tx.Exec(`INSERT INTO releases (identity, device_type, component, key_epoch, release_number, version, downgrade, security_counter,
			image_digest, document_digest, manifest, manifest_hash, keyset_version, published_ms, published_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		identity[:], m.DeviceType, m.Component, m.Sequence.Epoch(), m.Sequence.Number(), m.Version.String(), downgrade, m.SecurityCounter,
		m.ImageDigest[:], documentDigest, v.Bytes(), hash[:], ks.Keyset().Version, now, actor.Name)
	if err != nil {
		return err
	}
	return tx.Touch(Topic)
}

func describeRelease(e *audit.Entry, v trust.VerifiedManifest) {
	m := v.Manifest()
	e.Object = releaseObject(v.Identity())
	e.After = audit.JSON(struct {
		DeviceType string `json:"device_type"`
		Version    string `json:"version"`
		Sequence   string `json:"sequence"`
		Image      string `json:"image"`
		Downgrade  bool   `json:"downgrade"`
	}{m.DeviceType, m.Version.String(), m.Sequence.String(), m.ImageDigest.String(), m.Downgrade()})
}
