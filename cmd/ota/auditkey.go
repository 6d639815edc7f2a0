package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
)

// auditPurpose is the one use of the server's audit key.
const auditPurpose = "audit log"

func auditKeyPath(data string) string {
	return filepath.Join(data, repository.SecretsName, "audit.pem")
}

// loadAuditKey reads the key that signs checkpoints of the audit log, nil if
// the server has not made it yet. It is the one private key that a server
// holds: it proves what happened and signs nothing that a device believes.
func loadAuditKey(data string) (*signing.Key, error) {
	key, err := signing.LoadPrivateKey(auditKeyPath(data), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit key: %w", err)
	}
	return key, nil
}

// makeAuditKey is loadAuditKey for the server itself, which makes it once.
func makeAuditKey(data string) (*signing.Key, error) {
	key, err := loadAuditKey(data)
	if err != nil || key != nil {
		return key, err
	}
	if key, err = signing.Generate(trust.Ed25519); err != nil {
		return nil, err
	}
	key.Purpose = auditPurpose
	if err := fsatomic.MkdirAll(fsatomic.OS(), filepath.Dir(auditKeyPath(data)), 0o700); err != nil {
		return nil, fmt.Errorf("audit key: %w", err)
	}
	err = key.SavePrivateKey(auditKeyPath(data), nil)
	if errors.Is(err, fs.ErrExist) { // another process was first
		return loadAuditKey(data)
	}
	if err != nil {
		return nil, fmt.Errorf("audit key: %w", err)
	}
	return key, nil
}
