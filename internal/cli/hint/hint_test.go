package hint

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline"
	"github.com/secure-ota/secure-ota/internal/cli/secret"
	"github.com/secure-ota/secure-ota/signing"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// The founding document's troubleshooting items, one by one.
func TestEveryTroubleOfTheFoundingDocumentHasItsHint(t *testing.T) {
	_, notXYZ := version.Parse("1.2")
	for _, c := range []struct {
		trouble string
		err     error
		want    string
	}{
		{"the public key does not belong to the signing key", fmt.Errorf("%w: %w", trust.ErrBadSignature, offline.ErrOtherKey), "public key belongs to the signing key"},
		{"the firmware was modified", fmt.Errorf("%w: %w", trust.ErrBadSignature, offline.ErrModified), "the file does not"},
		{"the firmware was modified, by its manifest", trust.ErrImageDigest, "modified after its manifest"},
		{"the signature file is damaged", trust.ErrBareSize, "signature file is damaged"},
		{"the version is not x.y.z", notXYZ, "versions are x.y.z"},
		{"rollback: sequence", trust.ErrOldSequence, "rollback protection"},
		{"rollback: version", trust.ErrOldVersion, "rollback protection"},
		{"rollback: floor", trust.ErrBelowFloor, "rollback protection"},
		{"rollback: downgrade for others", trust.ErrNotApplicable, "rollback protection"},
		{"the storage path is missing", &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, "check the path"},
		{"the storage path is not writable", &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, "writable"},
		{"the disk is full", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "disk is full"},
		{"permissions are too open", signing.ErrPermissions, "chmod 600"},
		{"encrypted key without passphrase", signing.ErrNoPassphrase, "OTA_PASSPHRASE"},
		{"wrong passphrase", signing.ErrPassphrase, "passphrase is wrong"},
		{"... of that file", &env.FileError{Name: "my key.pem", Err: signing.ErrPermissions}, "chmod 600 'my key.pem'"},
		{"... of that secret", &fs.PathError{Op: "read", Path: "pass", Err: secret.ErrPermissions}, "chmod 600 pass"},
		{"a place for no directory", &fs.PathError{Op: "mkdir", Path: "/proc/x", Err: syscall.ENOENT}, "no directory can be made there"},
		{"a privileged port", &net.OpError{Op: "listen", Err: syscall.EACCES}, "ports below 1024"},
		{"nobody signs", offline.ErrUnsigned, "--key KEY"},
		{"wrong usage", &exit.UsageError{Command: "ota sign", Err: errors.New("x")}, "ota sign --help"},
	} {
		if got := For(fmt.Errorf("some command: %w", c.err), nil); !strings.Contains(got, c.want) {
			t.Errorf("%s: hint %q, want one with %q", c.trouble, got, c.want)
		}
	}
	if got := For(errors.New("unknown"), nil); got != "" {
		t.Errorf("an unknown error has the hint %q", got)
	}
}

// The first that fits wins, so no entry may stand behind a more general one.
func TestNoEntryHidesAnother(t *testing.T) {
	for i, e := range table() {
		for _, before := range table()[:i] {
			if errors.Is(e.Err, before.Err) {
				t.Errorf("%v never gets its hint: %v stands before it", e.Err, before.Err)
			}
		}
	}
}
