package api_test

import (
	"errors"
	"testing"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// A checkpoint that somebody changed or forged in the database says that the log
// was touched, and does not pass for a mistake of whoever asks.
func TestAStoredCheckpointThatIsForgedBreaksTheLog(t *testing.T) {
	s := otatest.New(t, otatest.Options{})
	m := s.Remote()
	if _, err := m.AuditCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	thief, err := signing.Generate(trust.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := audit.SignCheckpoint(audit.Checkpoint{Seq: 1, Hash: audit.Hash{1}}, thief)
	if err != nil {
		t.Fatal(err)
	}
	for name, object := range map[string][]byte{"damaged": {0}, "signed by another key": forged} {
		err := s.Server.Repository().Store().ChangeUnaudited(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE audit_checkpoints SET object = $1`, object)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.VerifyAudit(t.Context(), nil); !errors.Is(err, api.ErrAuditBroken) {
			t.Errorf("%s: %v, want ErrAuditBroken", name, err)
		}
	}
}
