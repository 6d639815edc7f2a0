package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/backup"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/server"
	"github.com/secure-ota/secure-ota/trust"
)

func checkOf(p server.Provisioning, nonce uint64) trust.CheckRequest {
	return trust.CheckRequest{Device: p.Device, DeviceType: p.DeviceType, Nonce: nonce, KeysetVersion: 1}
}

func reportOf(p server.Provisioning, nonce uint64, e trust.Event) trust.Report {
	return trust.Report{Device: p.Device, DeviceType: p.DeviceType, Nonce: nonce, Event: e}
}

func rateLimited(err error) bool {
	var rate *fleet.RateError
	return errors.As(err, &rate)
}

func ref(id string) fleet.Ref { return fleet.Ref{DeviceType: otatest.DeviceType, ID: id} }

// A device's counter went on while the backup lay in its drawer. The restored
// server takes up where the device is, and what was recorded on the way in
// between says once more what happened then, and changes nothing that the
// device says now.
func TestDevicesGoOnAfterARestore(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	device := s.Device("dev-1")
	report := func(to *server.Server, nonce uint64, e trust.Event) {
		t.Helper()
		if err := to.RecordUpdate(t.Context(), reportOf(device, nonce, e)); err != nil {
			t.Errorf("report %d: %v", nonce, err)
		}
	}
	report(s.Server, 5, trust.EventDownloading)
	copied := toDir(t, s.Server.Repository(), plain())
	report(s.Server, 6, trust.EventFailed) // recorded by somebody on the way
	dir, _, err := restore(t, backup.FromDir(copied))
	if err != nil {
		t.Fatal(err)
	}
	again := serve(t, dir)
	if _, err := again.CheckForUpdates(t.Context(), checkOf(device, 7)); err != nil {
		t.Errorf("the next check of the device: %v", err)
	}
	report(again, 5, trust.EventFailed) // from before the backup: known
	report(again, 6, trust.EventFailed) // the recording
	d, err := again.Management("test").Device(t.Context(), ref("dev-1"))
	if err != nil || d.LastError != 0 {
		t.Errorf("device %+v, %v", d, err)
	}
	report(again, 8, trust.EventDownloading)
	if d, err = again.Management("test").Device(t.Context(), ref("dev-1")); err != nil || d.LastEvent != trust.EventDownloading.String() {
		t.Errorf("device %+v, %v", d, err)
	}
}

// What was taken away after the backup is back: tokens and codes are ended by
// the restore itself, devices are the operator's business.
func TestARestoreGivesNobodyBackWhatHeLost(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	m := s.Management()
	token, err := m.AddToken(t.Context(), auth.NewOperator{Name: "leaver", Role: auth.Administrator})
	if err != nil {
		t.Fatal(err)
	}
	code, err := m.AddEnrolmentCode(t.Context(), fleet.NewCode{DeviceType: otatest.DeviceType})
	if err != nil {
		t.Fatal(err)
	}
	device := s.Device("dev-1")
	copied := toDir(t, s.Server.Repository(), plain())
	if err := errors.Join(m.RevokeToken(t.Context(), "leaver"), m.RevokeDevice(t.Context(), ref("dev-1"), "stolen")); err != nil {
		t.Fatal(err)
	}
	dir, r, err := restore(t, backup.FromDir(copied))
	if err != nil || r.Settled.Tokens != 2 || r.Settled.Codes != 1 {
		t.Fatalf("%+v, %v", r.Settled, err)
	}
	again := serve(t, dir)
	operators := auth.Operators{DB: again.Repository().Store()}
	for name, old := range map[string]auth.Token{"revoked since": token, "of the administrator": auth.Token(s.Token)} {
		if _, err := operators.Authenticate(t.Context(), old); !errors.Is(err, auth.ErrUnauthorized) {
			t.Errorf("a token %s: %v", name, err)
		}
	}
	if _, first := again.InitialToken(); !first {
		t.Error("nobody can log in")
	}
	fresh := serveFleet(t, again, dir)
	if _, err := fresh.Enrol(t.Context(), fleet.Enrolment{Code: code.Code}, "192.0.2.1:1"); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("an old code: %v", err)
	}
	// Honestly: the device is back until it is revoked again.
	if _, err := again.CheckForUpdates(t.Context(), checkOf(device, 9)); err != nil {
		t.Errorf("the device that was revoked since: %v", err)
	}
}

// serveFleet opens the fleet of a server a second time, for what its type does
// not show.
func serveFleet(t *testing.T, s *server.Server, dir string) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Open(t.Context(), fleet.Config{Repository: s.Repository(), Masters: auth.OpenMasters(dir + "/secrets")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(t.Context()) })
	return f
}

// The log of a restored server is unbroken in itself. Whoever holds a
// checkpoint of what was lost sees that, and where.
func TestARestoreCannotHideWhatWasLost(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	copied := toDir(t, s.Server.Repository(), plain())
	s.Device("dev-1")
	later, err := s.Management().AuditCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, r, err := restore(t, backup.FromDir(copied))
	if err != nil {
		t.Fatal(err)
	}
	db := serve(t, dir).Repository().Store()
	if _, err := audit.VerifyChain(db.AllAuditRecords(t.Context()), nil); err != nil {
		t.Errorf("the restored log: %v", err)
	}
	_, err = audit.VerifyChain(db.AllAuditRecords(t.Context()), []audit.Checkpoint{{Seq: later.Seq, Hash: later.Hash}})
	var bad *audit.BadRecordError
	if !errors.As(err, &bad) || bad.Seq <= r.Backup.AuditRecord {
		t.Errorf("against the newer checkpoint: %v", err)
	}
	told, err := db.AuditRecords(t.Context(), audit.Filter{Action: "server.restore"})
	if err != nil || len(told) != 1 || told[0].Seq != r.Backup.AuditRecord+1 {
		t.Errorf("the log tells of it: %v, %v", told, err)
	}
}

// A device that was enrolled again since the backup has keys that the restored
// server does not know: it is shut out, visibly, until it is enrolled again.
func TestNewerKeysThanTheBackupKnowsAreRefused(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	s.Device("dev-1")
	copied := toDir(t, s.Server.Repository(), plain())
	code, err := s.Management().AddEnrolmentCode(t.Context(), fleet.NewCode{DeviceType: otatest.DeviceType, Device: "dev-1", Again: true})
	if err != nil {
		t.Fatal(err)
	}
	dir, _, err := restore(t, backup.FromDir(copied))
	if err != nil {
		t.Fatal(err)
	}
	now := serveFleet(t, s.Server, s.Server.Repository().Dir())
	newer, err := now.Enrol(t.Context(), fleet.Enrolment{Code: code.Code}, "192.0.2.1:1")
	if err != nil || newer.Generation != 2 {
		t.Fatalf("%+v, %v", newer, err)
	}
	sealed, err := checkOf(newer, 1).Seal(s.DeviceKeys(newer).Up)
	if err != nil {
		t.Fatal(err)
	}
	old := serveFleet(t, serve(t, dir), dir)
	if _, err := trust.OpenCheckRequest(sealed, old.Sender("192.0.2.1:1").UpKey); !errors.Is(err, trust.ErrBadMAC) {
		t.Errorf("under the newer keys: %v", err)
	}
}

// A data directory may be a link to a larger disk.
func TestALinkIsRestoredThrough(t *testing.T) {
	s, _ := start(t)
	dir, base := toDir(t, s.Server.Repository(), plain()), t.TempDir()
	disk, link := filepath.Join(base, "disk"), filepath.Join(base, "ota")
	if err := errors.Join(os.Mkdir(disk, 0o700), os.Symlink(disk, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), backup.FromDir(dir), link, backup.RestoreOptions{By: operator}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(disk, repository.DatabaseName)); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link: %v, %v", info, err)
	}
}

// Secrets that are mounted are links to their files.
func TestSecretsThatAreLinksAreBackedUp(t *testing.T) {
	s, data := start(t)
	secrets := filepath.Join(data, repository.SecretsName)
	entries, err := os.ReadDir(secrets)
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	mounted := filepath.Join(secrets, "..data")
	if err := os.Mkdir(mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := filepath.Join(secrets, e.Name())
		if err := errors.Join(os.Rename(name, filepath.Join(mounted, e.Name())), os.Symlink(filepath.Join("..data", e.Name()), name)); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadDir(filepath.Join(toDir(t, s.Server.Repository(), plain()), "secrets"))
	if err != nil || len(kept) != len(entries) {
		t.Errorf("%d of %d secrets are in the backup, %v", len(kept), len(entries), err)
	}
}
