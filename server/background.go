package server

import (
	"context"
	"time"
)

// Work in the background.
const (
	checkpointInterval = 5 * time.Second
	checkpointRecords  = 1000        // a checkpoint at least after so many records,
	checkpointAge      = time.Minute // or after so long, if there is any
	useInterval        = time.Minute // tokens' last uses
	expiryInterval     = time.Hour
	uploadLife         = 7 * 24 * time.Hour // of an upload that nobody continues
)

// checkpoint signs the head of the audit log if that is due.
func (s *Server) checkpoint(ctx context.Context) error {
	if s.cfg.AuditSigner == nil {
		return nil
	}
	_, err := s.repository.Store().Checkpoint(ctx, s.cfg.AuditSigner, checkpointRecords, checkpointAge)
	return err
}

func (s *Server) expireUploads(ctx context.Context) error {
	_, err := s.repository.ExpireUploads(ctx, uploadLife)
	return err
}
