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
	c, err := r.examine(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("check release: %w", err)
	}
	return c.Manifest(), nil
}

// examine is admissible at one moment.
func (r *Repository) examine(ctx context.Context, b trust.Bundle) (c candidate, err error) {
	if len(b.Manifest) == 0 {
		return candidate{}, ErrNoManifest
	}
	err = r.db.View(ctx, func(tx *store.Tx) error {
		c, err = r.admissible(tx, b)
		return err
	})
	return c, err
}

// AddFirmware publishes the release of a bundle with its image, which is read
// to its end and never held in memory. After nil it is durable and visible to
// every process. Adding what is there already changes nothing.
func (r *Repository) AddFirmware(ctx context.Context, actor Actor, b trust.Bundle, image io.Reader) (Release, error) {
	return r.add(ctx, actor, b, func(c candidate) (Sums, error) { return r.takeImage(ctx, c, image) })
}

// AddRelease publishes the release of a bundle whose image is stored already:
// uploaded before, or that of another release. ErrNoImage: it is not.
func (r *Repository) AddRelease(ctx context.Context, actor Actor, b trust.Bundle) (Release, error) {
	return r.add(ctx, actor, b, func(c candidate) (Sums, error) { return r.storedImage(ctx, c.Manifest()) })
}

// storedImage reads an image that is stored to its end: a version is offered
// only if its stored bytes are those of the manifest.
func (r *Repository) storedImage(ctx context.Context, m *manifest.Manifest) (Sums, error) {
	sums, err := r.blobs.Verify(ctx, m.ImageDigest)
	if errors.Is(err, blob.ErrDigest) { // which nobody who publishes can help
		return Sums{}, fmt.Errorf("the stored image is damaged: put the file in its place with ota fsck --image FILE: %w: %v", ErrDamaged, err)
	}
	if err == nil && sums.Size != int64(m.ImageSize) {
		err = fmt.Errorf("%w: %d bytes, want %d", blob.ErrSize, sums.Size, m.ImageSize)
	}
	return sums, err
}

// takeImage stores the image. If it is stored already, it only hashes it: a
// copy that is damaged is replaced.
func (r *Repository) takeImage(ctx context.Context, c candidate, image io.Reader) (Sums, error) {
	m := c.Manifest()
	var sums Sums
	var err error
	if c.published != nil { // and verified then
		var size int64
		sums = c.published.Image
		if size, err = r.blobs.Stat(m.ImageDigest); err == nil && size != sums.Size {
			err = blob.ErrSize
		}
	} else {
		sums, err = r.storedImage(ctx, m)
	}
	if err != nil {
		return r.blobs.Put(ctx, m.ImageDigest, int64(m.ImageSize), image)
	}
	return sums, blob.Check(ctx, m.ImageDigest, int64(m.ImageSize), image)
}

func (r *Repository) add(ctx context.Context, actor Actor, b trust.Bundle, image func(candidate) (Sums, error)) (Release, error) {
	release, err := r.publish(ctx, actor, b, image)
	if err != nil {
		return Release{}, fmt.Errorf("publish: %w", advise(err))
	}
	return release, nil
}

func (r *Repository) publish(ctx context.Context, actor Actor, b trust.Bundle, image func(candidate) (Sums, error)) (Release, error) {
	if err := r.addNewerKeysets(ctx, actor, b); err != nil {
		return Release{}, err
	}
	// Once before the image, so that gigabytes are not taken in vain, and once
	// in the transaction, because others publish, too.
	c, err := r.examine(ctx, b)
	if err != nil {
		return Release{}, err
	}
	sums, err := image(c)
	if err != nil {
		return Release{}, explainBlob(err)
	}
	if c.published != nil {
		return *c.published, nil
	}
	var release Release
	entry := audit.Entry{Actor: actor.Name, Address: actor.Address, Action: actionPublish}
	err = r.db.Change(ctx, entry, func(tx *store.Tx) error {
		c, err := r.admissible(tx, b)
		if err != nil {
			return err
		}
		if c.published != nil { // somebody else was faster with the same release
			release = *c.published
			return store.NoChange
		}
		// Repair may have removed an image that no release named yet.
		size, err := r.blobs.Stat(sums.SHA256)
		if err != nil {
			return err
		}
		if size != sums.Size {
			return fmt.Errorf("%w: %d bytes are stored, want %d", blob.ErrSize, size, sums.Size)
		}
		if err := insertRelease(tx, actor, c, b.ReleaseDocument, sums); err != nil {
			return err
		}
		describeRelease(tx.Audit(), c.VerifiedManifest)
		release, err = r.findRelease(tx, c.Identity(), c.keyset)
		return err
	})
	return release, explainBlob(err)
}

// A candidate is a release that may be published, or is.
type candidate struct {
	trust.VerifiedManifest
	keyset    heldKeyset // under which it verifies
	published *Release   // nil: it is not
}

// admissible verifies everything about a bundle's release but its image. A
// release that is published already passes.
func (r *Repository) admissible(tx *store.Tx, b trust.Bundle) (candidate, error) {
	ks, verified, err := r.verify(tx, b.Manifest)
	if err != nil {
		return candidate{}, err
	}
	m := verified.Manifest()
	if err := checkDocument(m, b.ReleaseDocument); err != nil {
		return candidate{}, err
	}
	release, err := r.findRelease(tx, verified.Identity(), ks)
	switch {
	case err == nil && release.Withdrawn():
		return candidate{}, fmt.Errorf("version %s: %w", m.Version, ErrWithdrawn)
	case err == nil:
		return candidate{verified, ks, &release}, nil
	case !errors.Is(err, ErrNotFound):
		return candidate{}, err
	}
	return candidate{verified, ks, nil}, checkRules(tx, ks.Keyset(), m)
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

func insertRelease(tx *store.Tx, actor Actor, c candidate, document []byte, sums Sums) error {
	m, identity, hash := c.Manifest(), c.Identity(), c.Hash()
	now := tx.Now().UnixMilli()
	_, err := tx.Exec(`INSERT INTO blobs (digest, size, md5, sha1, added_ms) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (digest) DO NOTHING`,
		sums.SHA256[:], sums.Size, sums.MD5[:], sums.SHA1[:], now)
	if err != nil {
		return err
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
	_, err = tx.Exec(`INSERT INTO releases (identity, device_type, component, key_epoch, release_number, version, downgrade, security_counter,
			image_digest, document_digest, manifest, manifest_hash, keyset_version, published_ms, published_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		identity[:], m.DeviceType, m.Component, m.Sequence.Epoch(), m.Sequence.Number(), m.Version.String(), downgrade, m.SecurityCounter,
		m.ImageDigest[:], documentDigest, c.Bytes(), hash[:], c.keyset.Keyset().Version, now, actor.Name)
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
