package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// A check is one run of Fsck.
type check struct {
	r      *Repository
	fresh  *Repository // to which nothing counts as verified before
	ctx    context.Context
	report Report
	stored map[manifest.Digest]Sums // images by the database
	seen   map[manifest.Digest]bool // images read already
}

func (c *check) problem(object string, err error) {
	c.report.Problems = append(c.report.Problems, Finding{object, err.Error()})
}

// row notes what is wrong with a row, unless it could not be read to its end.
func (c *check) row(object string, err error) error {
	if err != nil && c.ctx.Err() == nil {
		c.problem(object, err)
	}
	return c.ctx.Err()
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
	all, err := c.fresh.keysetsOf(tx, deviceType)
	if err != nil {
		return c.row("keysets of "+deviceType, err)
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
		if _, err := all[i-1].Accept(ks.Bytes(), all[i-1].with(ks.keys)); err != nil {
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
	keysets := newKeysetReader(c.fresh, tx)
	for _, w := range rows {
		object := fmt.Sprintf("release %s %s (%x)", w.deviceType, w.version, w.identity)
		_, err := keysets.reverify(w)
		if err == nil {
			err = announced(tx, w)
		}
		if err := c.row(object, err); err != nil {
			return err
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
