package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/trust"
)

// nothing is the effect of a record that stands alone.
func nothing(*store.Tx) error { return nil }

func (l local) AuditRecords(ctx context.Context, f audit.Filter) ([]audit.Record, error) {
	if err := l.allow(ctx, auth.Viewer, "audit.list"); err != nil {
		return nil, err
	}
	records, err := l.cfg.Repository.Store().AuditRecords(ctx, f)
	return append([]audit.Record{}, records...), err
}

func (l local) AuditCheckpoint(ctx context.Context) (Checkpoint, error) {
	if err := l.allow(ctx, auth.Viewer, "audit.checkpoint"); err != nil {
		return Checkpoint{}, err
	}
	if l.cfg.AuditSigner == nil {
		return Checkpoint{}, fmt.Errorf("audit checkpoint: %w", ErrNoAuditKey)
	}
	db := l.cfg.Repository.Store()
	if _, err := db.Checkpoint(ctx, l.cfg.AuditSigner, 1, 0); err != nil {
		return Checkpoint{}, err
	}
	signed, err := db.LatestCheckpoint(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	if signed == nil {
		return Checkpoint{}, fmt.Errorf("audit checkpoint: the log is empty: %w", ErrNotFound)
	}
	c, err := audit.OpenCheckpoint(signed, l.cfg.AuditSigner.Public())
	return Checkpoint{c.Seq, c.Hash, signed}, err
}

func (l local) VerifyAudit(ctx context.Context, checkpoints [][]byte) (AuditState, error) {
	if err := l.allow(ctx, auth.Viewer, "audit.verify"); err != nil {
		return AuditState{}, err
	}
	end, err := l.turns.take(ctx, l.actor, "audit log")
	if err != nil {
		return AuditState{}, err
	}
	defer end()
	db := l.cfg.Repository.Store()
	// The head is read after the checkpoints, so that the log cannot seem to
	// end before one of them.
	stored, err := db.Checkpoints(ctx, 0)
	if err != nil {
		return AuditState{}, err
	}
	var key trust.PublicKey
	switch {
	case l.cfg.AuditSigner != nil:
		key = l.cfg.AuditSigner.Public()
	case len(stored)+len(checkpoints) > 0:
		return AuditState{}, fmt.Errorf("verify audit log: %w", ErrNoAuditKey)
	}
	// A stored checkpoint that does not open is not the caller's mistake, as one
	// that he brings is: somebody changed what stands beside the log.
	known, err := openCheckpoints(stored, key)
	if err != nil {
		return AuditState{}, fmt.Errorf("%w: stored beside it: %w", ErrAuditBroken, err)
	}
	brought, err := openCheckpoints(checkpoints, key)
	if err != nil {
		return AuditState{}, err
	}
	s, err := audit.VerifyChain(db.AllAuditRecords(ctx), append(known, brought...))
	var bad *audit.BadRecordError
	if errors.As(err, &bad) {
		err = fmt.Errorf("%w: %w", ErrAuditBroken, err)
	}
	return AuditState{s.Records, s.Head, s.Checkpoints, s.Confirmed}, err
}

func openCheckpoints(signed [][]byte, key trust.PublicKey) (opened []audit.Checkpoint, err error) {
	for i, raw := range signed {
		c, err := audit.OpenCheckpoint(raw, key)
		if err != nil {
			return nil, fmt.Errorf("checkpoint %d of %d: %w", i+1, len(signed), err)
		}
		opened = append(opened, c)
	}
	return opened, nil
}

func (l local) AddToken(ctx context.Context, t auth.NewOperator) (auth.Token, error) {
	if err := l.allowWide(ctx, auth.Administrator, "token.add"); err != nil {
		return "", err
	}
	return l.operators.Add(ctx, l.actor, t)
}

func (l local) Tokens(ctx context.Context) ([]auth.Operator, error) {
	if err := l.allowWide(ctx, auth.Administrator, "token.list"); err != nil {
		return nil, err
	}
	return l.operators.List(ctx)
}

func (l local) RevokeToken(ctx context.Context, name string) error {
	if err := l.allowWide(ctx, auth.Administrator, "token.revoke"); err != nil {
		return err
	}
	return l.operators.Revoke(ctx, l.actor, name)
}

func (l local) RotateToken(ctx context.Context, name string) (auth.Token, error) {
	if err := l.allowWide(ctx, auth.Administrator, "token.rotate"); err != nil {
		return "", err
	}
	return l.operators.Rotate(ctx, l.actor, name)
}
