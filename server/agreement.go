package server

import (
	"context"

	"github.com/secure-ota/secure-ota/internal/auth"
)

// Names of the secrets that replicas of one database share, beside the fleet
// masters, of which package fleet takes care.
const (
	auditKeySecret    = "audit key"
	certificateSecret = "self-made TLS certificate"
)

// agree refuses to begin with other secrets than the replicas before: clients
// pin the certificate, and the audit key is what checkpoints are verified with.
func (s *Server) agree(ctx context.Context) error {
	db := s.repository.Store()
	if !db.Shared() {
		return nil
	}
	agreement, by := auth.Agreement{DB: db}, auth.Actor{Name: "system"}
	if signer := s.cfg.AuditSigner; signer != nil {
		id := signer.Public().ID()
		if err := agreement.Agree(ctx, by, auditKeySecret, auth.Fingerprint(auditKeySecret, id[:])); err != nil {
			return err
		}
	}
	if s.cfg.CertFile != "" || len(s.certificate.Certificate) == 0 {
		return nil
	}
	return agreement.Agree(ctx, by, certificateSecret, auth.Fingerprint(certificateSecret, s.certificate.Certificate[0]))
}
