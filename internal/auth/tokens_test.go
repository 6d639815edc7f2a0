package auth_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
)

// A desk is the tokens of a server in an hour of the test's choice.
type desk struct {
	auth.Operators
	db  *store.DB
	now time.Time
	by  auth.Actor
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "ota.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d := &desk{Operators: auth.OpenOperators(db), db: db, now: time.Unix(1_800_000_000, 0), by: auth.Actor{Name: "system", Role: auth.Administrator}}
	db.Now = func() time.Time { return d.now }
	return d
}

func (d *desk) add(t *testing.T, n auth.NewOperator) auth.Token {
	t.Helper()
	token, err := d.Add(t.Context(), d.by, n)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// only returns the one token that there is, as the list has it.
func (d *desk) only(t *testing.T) auth.Operator {
	t.Helper()
	list, err := d.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	return list[0]
}

func TestATokenEndsUnlessItIsSaidThatItDoesNot(t *testing.T) {
	d := newDesk(t)
	d.add(t, auth.NewOperator{Name: "a", Role: auth.Viewer})
	d.add(t, auth.NewOperator{Name: "b", Role: auth.Viewer, Valid: auth.Forever})
	d.add(t, auth.NewOperator{Name: "c", Role: auth.Viewer, Valid: time.Hour})
	list, err := d.List(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	for i, want := range []time.Time{d.now.Add(90 * 24 * time.Hour), {}, d.now.Add(time.Hour)} {
		if !list[i].ExpiresAt.Equal(want) {
			t.Errorf("%s expires at %s, want %s", list[i].Name, list[i].ExpiresAt, want)
		}
	}
}

func TestAScopeComesBackAsItWasGiven(t *testing.T) {
	d := newDesk(t)
	want := auth.Scope{DeviceTypes: []string{"gateway", "sensor_v1"}, Actions: []string{"release.", "upload"}}
	token := d.add(t, auth.NewOperator{Name: "ci", Role: auth.Publisher, Scope: want})
	op, err := d.Authenticate(t.Context(), token)
	actor := op.Actor("192.0.2.1:80")
	if err != nil || !slices.Equal(actor.Scope.DeviceTypes, want.DeviceTypes) || !slices.Equal(actor.Scope.Actions, want.Actions) {
		t.Errorf("%+v, %v", actor, err)
	}
	// What is stored cannot be read: that must not widen it.
	err = d.db.ChangeUnaudited(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE operator_tokens SET scope = $1`, `{"device_typ":["gateway"]}`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if op, err := d.Authenticate(t.Context(), token); err == nil {
		t.Errorf("authenticated as %+v", op)
	}
}

func TestWhatNarrowsNothingIsNoScope(t *testing.T) {
	d := newDesk(t)
	for name, s := range map[string]auth.Scope{
		"empty type": {DeviceTypes: []string{""}}, "path": {DeviceTypes: []string{"../x"}}, "empty action": {Actions: []string{""}},
		"a dot": {Actions: []string{"."}}, "space": {Actions: []string{"release publish"}}, "wildcard": {Actions: []string{"*"}},
		"too many": {DeviceTypes: slices.Repeat([]string{"t"}, 33)},
	} {
		if _, err := d.Add(t.Context(), d.by, auth.NewOperator{Name: "x", Role: auth.Viewer, Scope: s}); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAScopeNarrows(t *testing.T) {
	all := auth.Scope{}
	types := auth.Scope{DeviceTypes: []string{"a", "b"}}
	actions := auth.Scope{Actions: []string{"release.", "upload"}}
	for _, c := range []struct {
		scope  auth.Scope
		action string
		types  []string
		want   bool
	}{
		{all, "anything", nil, true}, {all, "anything", []string{"c"}, true},
		{types, "x", []string{"a"}, true}, {types, "x", []string{"a", "b"}, true}, {types, "x", []string{"a", "c"}, false},
		{types, "x", []string{""}, false}, {types, "x", nil, false},
		{actions, "release.publish", nil, true}, {actions, "release", nil, false}, {actions, "releases.publish", nil, false},
		{actions, "upload", nil, true}, {actions, "upload.more", nil, false}, {actions, "", nil, false},
	} {
		err := auth.Actor{Role: auth.Administrator, Scope: c.scope}.Permit(c.action, c.types...)
		if (err == nil) != c.want || err != nil && !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%+v, %s on %q: %v", c.scope, c.action, c.types, err)
		}
	}
}

func TestRotatingEndsTheOldSecretAndBeginsTheLifeAnew(t *testing.T) {
	d := newDesk(t)
	first := d.add(t, auth.NewOperator{Name: "ci", Role: auth.Publisher, Scope: auth.Scope{DeviceTypes: []string{"a"}}, Valid: 10 * time.Hour})
	secrets := []auth.Token{first}
	for range 3 { // each time for ten hours, not for what is left of them, nor for more and more
		d.now = d.now.Add(11 * time.Hour) // expired, even
		token, err := d.Rotate(t.Context(), d.by, "ci")
		if err != nil {
			t.Fatal(err)
		}
		op, err := d.Authenticate(t.Context(), token)
		if err != nil || op.Role != auth.Publisher || op.DeviceTypes[0] != "a" || !op.RotatedAt.Equal(d.now) || !op.ExpiresAt.Equal(d.now.Add(10*time.Hour)) {
			t.Errorf("%+v, %v", op, err)
		}
		for _, old := range secrets {
			if _, err := d.Authenticate(t.Context(), old); !errors.Is(err, auth.ErrUnauthorized) {
				t.Errorf("an old secret: %v", err)
			}
		}
		secrets = append(secrets, token)
	}
	if _, err := d.Rotate(t.Context(), d.by, "nobody"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("a token that there is not: %v", err)
	}
	records, err := d.db.AuditRecords(t.Context(), audit.Filter{Action: "token.rotate"})
	if err != nil || len(records) != 3 || records[0].Before == nil || records[0].After == nil {
		t.Errorf("on record: %v, %v", records, err)
	}
	for _, r := range records {
		for _, secret := range secrets {
			if strings.Contains(r.String(), secret.Reveal()) {
				t.Error("a secret is on record")
			}
		}
	}
}

func TestATokenForEverStaysSoWhenItIsRotated(t *testing.T) {
	d := newDesk(t)
	d.add(t, auth.NewOperator{Name: "ci", Role: auth.Viewer, Valid: auth.Forever})
	if _, err := d.Rotate(t.Context(), d.by, "ci"); err != nil {
		t.Fatal(err)
	}
	if op := d.only(t); !op.ExpiresAt.IsZero() {
		t.Errorf("expires at %s", op.ExpiresAt)
	}
}

func TestTheLastUseIsKnownToTheMinuteAndWrittenLater(t *testing.T) {
	d := newDesk(t)
	token := d.add(t, auth.NewOperator{Name: "ci", Role: auth.Viewer})
	if op := d.only(t); !op.UsedAt.IsZero() {
		t.Errorf("used at %s", op.UsedAt)
	}
	d.now = time.Unix(1_800_000_000, 0).Truncate(time.Minute).Add(2*time.Minute + 17*time.Second)
	before := writes(t, d.db)
	for range 100 {
		if _, err := d.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	minute := d.now.Truncate(time.Minute)
	if op := d.only(t); !op.UsedAt.Equal(minute) {
		t.Errorf("before it is written: %s, want %s", op.UsedAt, minute)
	}
	if after := writes(t, d.db); after != before {
		t.Error("a use was written at once")
	}
	for range 2 {
		if err := d.WriteUses(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	other := auth.OpenOperators(d.db) // another process
	list, err := other.List(t.Context())
	if err != nil || !list[0].UsedAt.Equal(minute) {
		t.Errorf("in another process: %+v, %v", list, err)
	}
	// Whoever is late does not turn the clock back.
	d.now = d.now.Add(-time.Hour)
	if _, err := other.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := other.WriteUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if op := d.only(t); !op.UsedAt.Equal(minute) {
		t.Errorf("turned back to %s", op.UsedAt)
	}
}

// writes returns the stored time of use, which is all that a use would change.
func writes(t *testing.T, db *store.DB) (used int64) {
	t.Helper()
	err := db.View(t.Context(), func(tx *store.Tx) error {
		return tx.Get(`SELECT used_ms FROM operator_tokens`, nil, &used)
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func TestAUseThatCannotBeWrittenIsWrittenNextTime(t *testing.T) {
	d := newDesk(t)
	token := d.add(t, auth.NewOperator{Name: "ci", Role: auth.Viewer})
	if _, err := d.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.WriteUses(gone); err == nil {
		t.Fatal("written for nobody")
	}
	if err := d.WriteUses(t.Context()); err != nil || writes(t, d.db) == 0 {
		t.Errorf("%v, used %d", err, writes(t, d.db))
	}
}
