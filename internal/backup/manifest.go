package backup

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/manifest"
)

// Names in a backup.
const (
	manifestName  = "backup.json"
	databaseName  = "ota.db"
	imagesName    = "blobs/sha256/"
	secretsName   = "secrets/"
	encryptedName = "secrets.tar.age"
)

// maxManifest bounds backup.json, in bytes. It has a line for each secret that
// stands in the backup as it is, of which there is one for each device type.
const maxManifest = 16 << 20

// Format is the version of the form of a backup.
const Format = 1

// The refusals that callers tell apart.
var (
	ErrIncomplete = errors.New("the backup is not complete")
	ErrDamaged    = errors.New("the backup is damaged")
	ErrPassphrase = errors.New("the secrets of the backup are encrypted with another passphrase")
	ErrNeedsOne   = errors.New("the secrets of the backup are encrypted: a passphrase is needed")
	ErrOccupied   = errors.New("there is something already")
	ErrUnsound    = errors.New("what was restored is not sound")
)

// How the secrets stand in a backup.
const (
	SecretsEncrypted = "encrypted"
	SecretsPlain     = "plain"
	SecretsNone      = "none" // a server restored from it can serve no device with a key
)

// A Manifest says what a backup is: backup.json.
type Manifest struct {
	Format     int             `json:"format"`
	Created    time.Time       `json:"created"`
	Program    string          `json:"program"` // version of ota that made it
	Database   manifest.Digest `json:"database"`
	Images     int             `json:"images"`
	ImageBytes int64           `json:"image_bytes"`
	Secrets    string          `json:"secrets"`
	// SecretFiles are the digests of secrets that stand in it as they are; those
	// that are encrypted need none.
	SecretFiles map[string]manifest.Digest `json:"secret_files,omitempty"`
	AuditRecord int64                      `json:"audit_record"` // number of the newest record in it
	AuditHash   audit.Hash                 `json:"audit_hash"`   // of that record
}

func (m Manifest) encode() ([]byte, error) {
	raw, err := json.Marshal(m, jsontext.WithIndent("  "))
	if err == nil && len(raw) > maxManifest {
		err = fmt.Errorf("%s would have %d bytes, more than a restore reads", manifestName, len(raw))
	}
	return raw, err
}

func decodeManifest(raw []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(raw, &m, json.RejectUnknownMembers(true)); err != nil {
		return m, fmt.Errorf("%w: %s: %v", ErrDamaged, manifestName, err)
	}
	if m.Format != Format {
		return m, fmt.Errorf("%w: %s has format %d, this program knows %d", ErrDamaged, manifestName, m.Format, Format)
	}
	return m, nil
}

// place checks the name of a file in a backup. Whatever else a tar names is
// refused: a name is where something is written.
func place(name string) error {
	switch name {
	case manifestName, databaseName, encryptedName:
		return nil
	}
	if digest, ok := strings.CutPrefix(name, imagesName); ok {
		if _, err := manifest.ParseDigest(digest); err == nil {
			return nil
		}
	}
	if secret, ok := strings.CutPrefix(name, secretsName); ok && plainSecret(secret) {
		return nil
	}
	return fmt.Errorf("%w: a backup has no file %.80q", ErrDamaged, name)
}

// plainSecret accepts the names of files in the secrets of a data directory.
func plainSecret(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-%"
	return name != "" && len(name) <= 255 && name[0] != '.' && strings.Trim(name, letters) == ""
}
