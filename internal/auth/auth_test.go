package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/trust"
)

func TestATokenShowsItselfOnlyWhenAsked(t *testing.T) {
	token := auth.NewToken(auth.OperatorPrefix)
	shown := fmt.Sprintf("%v %s %q %+v %#v %v", token, token, token, token, token, token.LogValue())
	if strings.Contains(shown, token.Reveal()) || len(token.Reveal()) != len(auth.OperatorPrefix)+43 {
		t.Errorf("shown as %s", shown)
	}
	if !token.Hash().Matches(token) || token.Hash().Matches(token+"x") || (auth.TokenHash{}).Matches("") {
		t.Error("a hash matches what it should not, or not what it should")
	}
}

func TestBearerTokens(t *testing.T) {
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "Basic abc": "", "Bearer ": "", "Bearer": "", "": "", "abc": "",
	} {
		got, err := auth.BearerToken(&http.Request{Header: http.Header{"Authorization": {header}}})
		if got.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", header, got.Reveal(), err)
		}
	}
	if _, err := auth.BearerToken(&http.Request{Header: http.Header{"Authorization": {"Bearer a", "Bearer b"}}}); !errors.Is(err, auth.ErrNoToken) {
		t.Errorf("two headers: %v", err)
	}
}

func TestOperatorTokens(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "ota.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Unix(1_800_000_000, 0)
	db.Now = func() time.Time { return now }
	operators, by := auth.Operators{DB: db}, auth.Actor{Name: "system", Role: auth.Administrator}
	token, err := operators.Add(t.Context(), by, auth.NewOperator{Name: "ci", Role: auth.Publisher, Valid: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	op, err := operators.Authenticate(t.Context(), token)
	if err != nil || op.Name != "ci" || op.Role != auth.Publisher || !op.ExpiresAt.Equal(now.Add(time.Hour)) {
		t.Errorf("operator %+v, %v", op, err)
	}
	for name, n := range map[string]auth.NewOperator{
		"taken": {Name: "ci", Role: auth.Viewer}, "no name": {Role: auth.Viewer}, "no role": {Name: "x"}, "a fifth role": {Name: "x", Role: 5},
	} {
		if _, err := operators.Add(t.Context(), by, n); !errors.Is(err, auth.ErrInvalid) && !errors.Is(err, auth.ErrExists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	now = now.Add(time.Hour)
	if _, err := operators.Authenticate(t.Context(), token); !errors.Is(err, auth.ErrUnauthorized) {
		t.Errorf("expired: %v", err)
	}
	now = now.Add(-time.Minute)
	if err := operators.Revoke(t.Context(), by, "ci"); err != nil {
		t.Fatal(err)
	}
	if _, err := operators.Authenticate(t.Context(), token); !errors.Is(err, auth.ErrUnauthorized) {
		t.Errorf("revoked: %v", err)
	}
}

func TestTheZeroActorMayDoNothing(t *testing.T) {
	for role := auth.Viewer; role <= auth.Administrator; role++ {
		if err := (auth.Actor{}).Require(role); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%s: %v", role, err)
		}
		if parsed, err := auth.ParseRole(role.String()); err != nil || parsed != role {
			t.Errorf("%s: %s, %v", role, parsed, err)
		}
	}
	if _, err := auth.ParseRole("none"); err == nil {
		t.Error("a token can be made for nothing")
	}
}

func TestAMasterIsMadeOnceAndKeptPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	var working sync.WaitGroup
	made := make([]trust.FleetMaster, 8)
	for i := range made {
		working.Go(func() {
			var err error
			if made[i], err = auth.OpenMasters(dir).LoadOrCreate("sensor:v1"); err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	for _, m := range made {
		if m != made[0] || m == (trust.FleetMaster{}) {
			t.Fatal("two masters were made of one type")
		}
	}
	path := filepath.Join(dir, "fleet-sensor%3Av1.key")
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if _, err := auth.OpenMasters(dir).Load("other"); !errors.Is(err, auth.ErrNoMaster) {
		t.Errorf("missing: %v", err)
	}
	if err := os.Rename(path, filepath.Join(dir, "fleet-other.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.OpenMasters(dir).Load("other"); err == nil {
		t.Error("the master of another type was taken")
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(filepath.Join(dir, "fleet-other.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.OpenMasters(dir).Load("other"); !errors.Is(err, auth.ErrPermissions) {
		t.Errorf("readable by others: %v", err)
	}
}
