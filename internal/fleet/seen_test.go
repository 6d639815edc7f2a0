package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/fleet"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

func mustCheck(t *testing.T, f *fleet.Fleet, r trust.CheckRequest) {
	t.Helper()
	if _, err := f.Check(t.Context(), r, ""); err != nil {
		t.Fatal(err)
	}
}

// Two servers that see the same device, and others on its page, write the page
// in either order: the later time and the higher nonce stay.
func TestTwoServersShareAPage(t *testing.T) {
	s := otatest.New(t)
	for i := range 3 {
		s.Device(fmt.Sprintf("dev-000%d", i))
	}
	now := time.Unix(1_800_000_000, 0).UTC()
	early, late := open(t, s, func() time.Time { return now }), open(t, s, func() time.Time { return now.Add(time.Hour) })
	of := func(id string, nonce uint64) trust.CheckRequest {
		r := check(nonce)
		r.Device = id
		return r
	}
	for i := range uint64(2) { // the second time, each has written before
		mustCheck(t, early, of("dev-0000", 30+i))
		mustCheck(t, late, of("dev-0000", 20+i))
		mustCheck(t, early, of("dev-0001", 1+i))
		mustCheck(t, late, of("dev-0002", 2+i))
		for _, f := range []*fleet.Fleet{late, early, late} {
			if err := f.SyncSeen(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for name, f := range map[string]*fleet.Fleet{"early": early, "late": late, "new": open(t, s, nil)} {
			for id, want := range map[string]struct {
				nonce uint64
				seen  time.Time
			}{"dev-0000": {30 + i, now.Add(time.Hour)}, "dev-0001": {1 + i, now}, "dev-0002": {2 + i, now.Add(time.Hour)}} {
				if d, err := f.Device(ref(id)); err != nil || d.CheckNonce != want.nonce || !d.LastSeen.Equal(want.seen) {
					t.Errorf("%s, round %d: %s has nonce %d, seen %s, %v", name, i, id, d.CheckNonce, d.LastSeen, err)
				}
			}
		}
	}
}

// A page may be written after the device got new keys, with a nonce under the
// old ones.
func TestANonceUnderOldKeysDoesNotReachTheNewOnes(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	f := open(t, s, nil)
	mustCheck(t, f, check(1))
	mustCheck(t, f, check(1<<63))
	enrolAgain(t, s, "dev-0001")
	if err := f.SyncSeen(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*fleet.Fleet{f, open(t, s, nil)} {
		if err := f.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d, err := f.Device(ref("dev-0001")); err != nil || d.Generation != 2 || d.CheckNonce != 0 {
			t.Errorf("generation %d, nonce %d: %v", d.Generation, d.CheckNonce, err)
		}
	}
	mustCheck(t, f, check(2))
	if err := f.SyncSeen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := open(t, s, nil).Device(ref("dev-0001")); err != nil || d.CheckNonce != 2 {
		t.Errorf("nonce %d after a restart: %v", d.CheckNonce, err)
	}
}

func TestTimesThatCouldNotBeWrittenAreWrittenLater(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	f := open(t, s, nil)
	mustCheck(t, f, check(1))
	mustCheck(t, f, check(2))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.SyncSeen(cancelled); err == nil {
		t.Fatal("written with a cancelled context")
	}
	if err := f.SyncSeen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := open(t, s, nil).Device(ref("dev-0001")); err != nil || d.CheckNonce != 2 {
		t.Errorf("nonce %d after a restart: %v", d.CheckNonce, err)
	}
}

// While a large fleet is being read, whoever asks is answered, from the store
// and with the nonce that is on the page.
func TestADeviceIsFoundBeforeTheFleetIsRead(t *testing.T) {
	s := otatest.New(t)
	keys := s.DeviceKeys(s.Device("dev-0001"))
	s.Device("dev-0002")
	before := open(t, s, nil)
	mustCheck(t, before, check(1))
	mustCheck(t, before, check(7))
	if err := before.SyncSeen(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := fleet.OpenUnread(t.Context(), fleet.Config{
		Repository: s.Server.Repository(), Masters: auth.OpenMasters(filepath.Join(s.Server.Repository().Dir(), "secrets")),
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := check(8).Seal(keys.Up)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.OpenCheckRequest(raw, f.Sender("").UpKey); err != nil {
		t.Errorf("a message of a device that is not read yet: %v", err)
	}
	if d, err := f.Device(ref("dev-0001")); err != nil || d.CheckNonce != 7 {
		t.Errorf("nonce %d, %v", d.CheckNonce, err)
	}
	if _, err := f.Device(ref("nobody")); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a device that is not there: %v", err)
	}
	if err := f.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := f.Devices("", fleet.Ref{}, 9); len(list) != 2 || f.Count() != 2 || list[0].CheckNonce != 7 {
		t.Errorf("%d devices, %+v", f.Count(), list)
	}
}

// A server that does not know a device yet writes the page it stands on.
func TestAPageKeepsADeviceThatIsNotKnownYet(t *testing.T) {
	s := otatest.New(t)
	s.Device("dev-0001")
	late, err := fleet.OpenUnread(t.Context(), fleet.Config{
		Repository: s.Server.Repository(), Masters: auth.OpenMasters(filepath.Join(s.Server.Repository().Dir(), "secrets")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := late.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Device("dev-0002")
	other := open(t, s, nil)
	r := check(5)
	r.Device = "dev-0002"
	mustCheck(t, other, r)
	mustCheck(t, late, check(1))
	for _, f := range []*fleet.Fleet{late, other, late} { // before, for and after each other
		if err := f.SyncSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for nonce := uint64(2); nonce < 5; nonce++ {
		mustCheck(t, late, check(nonce))
		if err := late.SyncSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := open(t, s, nil).Device(ref("dev-0002")); err != nil || d.CheckNonce != 5 {
		t.Errorf("nonce %d, %v", d.CheckNonce, err)
	}
	if err := late.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, err := late.Device(ref("dev-0002")); err != nil || d.CheckNonce != 5 {
		t.Errorf("where it was met late: nonce %d, %v", d.CheckNonce, err)
	}
}
