//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
	"github.com/secure-ota/secure-ota/internal/testenv/s3"
)

// refused runs ota, which must end with that code, and returns what it said.
func refused(t *testing.T, dir string, code int, env []string, args ...string) string {
	t.Helper()
	cmd := otaCommand(dir, args...)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if got, ok := exitCode(err); !ok || got != code {
		t.Errorf("ota %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

func TestADataDirectoryMovesToPostgreSQLAndS3AndBack(t *testing.T) {
	const canary = "c4n4ry"
	dir := t.TempDir()
	database, blobs := postgres.Database(t), s3.Bucket(t)
	secret := strings.Replace(database, "ota@", "ota:"+canary+"@", 1)
	if err := os.WriteFile(filepath.Join(dir, "fw"), []byte("firmware 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, dir, "init", "--vendor", "acme", "--device-type", "t", "--algorithm", "Ed25519", "--no-passphrase")
	mustRun(t, dir, "publish", "fw", "--device-type", "t", "--version", "1.0.0", "--key", "release-t-1")
	data := filepath.Join(dir, "ota-home", "server")

	for name, args := range map[string][]string{
		"a password in the arguments": {"migrate", "--from", data, "--to", secret, "--blobs", blobs},
		"no images":                   {"migrate", "--from", data, "--to", database},
		"no directory":                {"migrate", "--to", database, "--blobs", blobs},
		"no database":                 {"migrate", "--from", data, "--blobs", blobs},
		"two directories":             {"migrate", "--from", data, "--to", filepath.Join(dir, "x"), "--blobs", blobs},
		"two databases":               {"migrate", "--from", database, "--to", database, "--blobs", blobs},
	} {
		if out := refused(t, dir, 2, nil, args...); strings.Contains(out, canary) {
			t.Errorf("%s: %s", name, out)
		}
	}
	file := filepath.Join(dir, "db.url")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := refused(t, dir, 1, nil, "migrate", "--from", data, "--database-file", file, "--blobs", blobs); !strings.Contains(out, "chmod go=") {
		t.Error(out)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, dir, "migrate", "--from", data, "--database-file", file, "--blobs", blobs); !strings.Contains(out, "the source is as it was") || !strings.Contains(out, "sound") || strings.Contains(out, canary) {
		t.Error(out)
	}
	if out := refused(t, dir, 1, nil, "migrate", "--from", data, "--to", database, "--blobs", blobs); !strings.Contains(out, "not empty") {
		t.Error(out)
	}
	elsewhere := []string{"--database", database, "--blobs", blobs}
	if out := mustRun(t, dir, append([]string{"fsck", "--data", data}, elsewhere...)...); !strings.Contains(out, "sound") {
		t.Error(out)
	}
	// The next release goes to the database, by the environment.
	publish := otaCommand(dir, "publish", "fw2", "--device-type", "t", "--version", "1.1.0", "--key", "release-t-1")
	publish.Env = append(publish.Env, "OTA_DATABASE="+secret, "OTA_BLOBS="+blobs)
	if err := os.WriteFile(filepath.Join(dir, "fw2"), []byte("firmware 2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := publish.CombinedOutput(); err != nil || strings.Contains(string(out), canary) {
		t.Fatalf("%v\n%s", err, out)
	}
	if out := mustRun(t, dir, "release", "list", "t"); strings.Contains(out, "1.1.0") {
		t.Errorf("the source was written to:\n%s", out)
	}
	back := filepath.Join(dir, "back")
	mustRun(t, dir, "migrate", "--from", database, "--blobs", blobs, "--to", back)
	if out := mustRun(t, dir, "release", "list", "t", "--data", back); !strings.Contains(out, "1.0.0") || !strings.Contains(out, "1.1.0") {
		t.Error(out)
	}
	if out := mustRun(t, dir, "audit", "list", "--data", back); strings.Count(out, "storage.migrate") != 2 || strings.Contains(out, canary) {
		t.Error(out)
	}
	gone := strings.Replace(database, "ota-pg-", "ota-not-", 1)
	if out := refused(t, dir, 1, []string{"OTA_DATABASE=" + strings.Replace(gone, "ota@", "ota:"+canary+"@", 1)}, "fsck", "--data", data); !strings.Contains(out, "cannot be reached") || strings.Contains(out, canary) {
		t.Error(out)
	}
}

// systemd lets a unit's user read a credential by an access list, which shows
// as permissions of the group. Anywhere else, and for others, they are too open.
func TestACredentialOfTheUnitMayShowPermissionsOfTheGroup(t *testing.T) {
	t.Parallel()
	credentials, elsewhere := t.TempDir(), t.TempDir()
	for _, c := range []struct {
		dir  string
		mode os.FileMode
		good bool
	}{{credentials, 0o440, true}, {credentials, 0o400, true}, {credentials, 0o444, false}, {credentials, 0o460, false}, {elsewhere, 0o440, false}, {elsewhere, 0o400, true}} {
		name := filepath.Join(c.dir, "db.url")
		if err := os.WriteFile(name, []byte("postgres://ota:x@db/ota\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := readSecret("database URL", name, credentials); (err == nil) != c.good {
			t.Errorf("%s with mode %04o: %v", c.dir, c.mode, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}
