package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
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
	c := check{r: r, ctx: ctx}
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

// A check is one run of Fsck.
type check struct {
	r      *Repository
	ctx    context.Context
	report Report
	stored map[manifest.Digest]Sums // images by the database
	seen   map[manifest.Digest]bool // images read already
}

func (c *check) problem(object string, err error) {
	c.report.Problems = append(c.report.Problems, Finding{object, err.Error()})
}

func (c *check) database() error {
	problems, err := c.r.db.Check(c.ctx)
	for _, p := range problems {
		c.problem("database", errors.New(p))
	}
	return err
}

// rows checks what the database says against signatures and digests, at one
// moment.
func (c *check) rows() error {
	c.stored = map[manifest.Digest]Sums{}
	return c.r.db.View(c.ctx, func(tx *store.Tx) error {
		for _, step := range []func(*store.Tx) error{c.keys, c.keysets, c.releases, c.documents, c.imageRows} {
			if err := step(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *check) keys(tx *store.Tx) error {
	return tx.Each(`SELECT id, cose_key FROM public_keys`, nil, func(scan func(...any) error) error {
		var id, raw []byte
		if err := scan(&id, &raw); err != nil {
			return err
		}
		key, err := trust.ParseCOSEKey(raw)
		if keyID := key.ID(); err == nil && !bytes.Equal(keyID[:], id) {
			err = fmt.Errorf("it is the key with id %s", keyID)
		}
		if err != nil {
			c.problem(fmt.Sprintf("public key %x", id), err)
		}
		return nil
	})
}

func (c *check) keysets(tx *store.Tx) error {
	types, err := deviceTypes(tx)
	if err != nil {
		return err
	}
	for _, t := range types {
		if err := c.keysetsOf(tx, t); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) keysetsOf(tx *store.Tx, deviceType string) error {
	all, err := keysetsOf(tx, deviceType)
	if err != nil {
		c.problem("keysets of "+deviceType, err)
		return nil
	}
	c.report.Keysets += len(all)
	for i, ks := range all {
		object := fmt.Sprintf("keyset %s version %d", deviceType, ks.Keyset().Version)
		if ks.Keyset().DeviceType != deviceType {
			c.problem(object, fmt.Errorf("it is of device type %s", ks.Keyset().DeviceType))
		}
		if i == 0 {
			continue
		}
		keys, err := keysOf(tx, ks.Keyset())
		if err != nil {
			return err
		}
		older, err := keysOf(tx, all[i-1].Keyset())
		if err != nil {
			return err
		}
		for id, key := range older {
			keys[id] = key
		}
		if _, err := all[i-1].Accept(ks.Bytes(), keys); err != nil {
			c.problem(object, err)
		}
	}
	return nil
}

func (c *check) releases(tx *store.Tx) error {
	rows, err := releaseRows(tx, `ORDER BY device_type, key_epoch, release_number`)
	if err != nil {
		return err
	}
	c.report.Releases = len(rows)
	fresh := &Repository{db: c.r.db} // nothing counts as verified before
	for _, w := range rows {
		object := fmt.Sprintf("release %s %s (%x)", w.deviceType, w.version, w.identity)
		verified, err := fresh.reverify(tx, w)
		if err != nil {
			c.problem(object, err)
			continue
		}
		sums, err := imageSums(tx, verified.Manifest().ImageDigest)
		if err == nil && sums.Size != int64(verified.Manifest().ImageSize) {
			err = fmt.Errorf("its image has %d bytes, the manifest says %d", sums.Size, verified.Manifest().ImageSize)
		}
		if err == nil {
			err = announced(tx, w)
		}
		if err != nil {
			c.problem(object, err)
		}
	}
	return nil
}

// announced says whether the audit log tells of a release.
func announced(tx *store.Tx, w releaseRow) error {
	actions := []string{actionPublish}
	if w.withdrawn.Valid {
		actions = append(actions, actionWithdraw)
	}
	for _, action := range actions {
		var n int
		err := tx.Get(`SELECT COUNT(*) FROM audit_records WHERE action = $1 AND object = $2`,
			[]any{action, releaseObject(manifest.Digest(w.identity))}, &n)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("the audit log holds no %s of it", action)
		}
	}
	return nil
}

func (c *check) documents(tx *store.Tx) error {
	return tx.Each(`SELECT digest, content FROM documents`, nil, func(scan func(...any) error) error {
		var digest, content []byte
		if err := scan(&digest, &content); err != nil {
			return err
		}
		if sum := sha256.Sum256(content); !bytes.Equal(sum[:], digest) {
			c.problem(fmt.Sprintf("release document %x", digest), fmt.Errorf("it hashes to %x", sum))
		}
		return nil
	})
}

func (c *check) imageRows(tx *store.Tx) error {
	return tx.Each(`SELECT digest, size, sha1, md5 FROM blobs`, nil, func(scan func(...any) error) error {
		var s Sums
		var digest, sha1, md5 []byte
		if err := scan(&digest, &s.Size, &sha1, &md5); err != nil {
			return err
		}
		copy(s.SHA256[:], digest)
		copy(s.SHA1[:], sha1)
		copy(s.MD5[:], md5)
		c.stored[s.SHA256] = s
		return nil
	})
}

// images reads every image that the database knows.
func (c *check) images() error {
	c.seen = map[manifest.Digest]bool{}
	for digest, want := range c.stored {
		c.seen[digest] = true
		got, err := c.r.blobs.Verify(c.ctx, digest)
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		if err == nil && got != want {
			err = errors.New("its size, SHA-1 or MD5 are not those that are stored")
		}
		if err != nil {
			c.problem("image "+digest.String(), err)
			continue
		}
		c.report.Images++
		c.report.ImageBytes += got.Size
	}
	return nil
}

// files looks at what lies about.
func (c *check) files() error {
	for item, err := range c.r.blobs.Items() {
		if err != nil {
			return err
		}
		switch item.Kind {
		case blob.KindBlob:
			if err := c.unnamed(item.Digest); err != nil {
				return err
			}
		case blob.KindUpload:
			c.leftover(item.Name, "part of an upload that is not complete")
		case blob.KindLeftover:
			c.leftover(item.Name, "a temporary file")
		case blob.KindForeign:
			c.report.Foreign = append(c.report.Foreign, Finding{item.Name, "does not belong here"})
		}
	}
	entries, err := fsatomic.OS().ReadDir(c.r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fsatomic.Leftover(e.Name()) {
			c.leftover(filepath.Join(c.r.dir, e.Name()), "a temporary file")
		}
	}
	return nil
}

// unnamed checks an image that no release named when the database was read.
// It must be whole all the same: whoever publishes it next will rely on it.
func (c *check) unnamed(digest manifest.Digest) error {
	if c.seen[digest] {
		return nil
	}
	_, err := c.r.blobs.Verify(c.ctx, digest)
	switch {
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case errors.Is(err, blob.ErrNotFound):
		return nil // removed since
	case err != nil:
		c.problem("image "+digest.String(), err)
	default:
		c.leftover("image "+digest.String(), "no release names it")
	}
	return nil
}

func (c *check) leftover(object, what string) {
	c.report.Leftovers = append(c.report.Leftovers, Finding{object, what})
}

func (c *check) auditLog() error {
	// The checkpoints first: the log may have grown since.
	signed, err := c.r.db.Checkpoints(c.ctx, 0)
	if err != nil {
		return err
	}
	var checkpoints []audit.Checkpoint
	for _, raw := range signed {
		point, err := audit.ParseCheckpoint(raw)
		if !c.r.auditKey.IsZero() {
			point, err = audit.OpenCheckpoint(raw, c.r.auditKey)
		}
		if err != nil {
			c.problem("audit checkpoint", err)
			continue
		}
		checkpoints = append(checkpoints, point)
	}
	summary, err := audit.VerifyChain(c.r.db.AllAuditRecords(c.ctx), checkpoints)
	c.report.AuditRecords, c.report.AuditConfirmed = summary.Records, summary.Confirmed
	var bad *audit.BadRecordError
	if errors.As(err, &bad) {
		c.problem("audit log", err)
		return nil
	}
	return err
}
