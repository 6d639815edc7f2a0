package auth_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/store"
	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
)

func TestSessions(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testSessions(t, filepath.Join(t.TempDir(), "ota.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { testSessions(t, postgres.Database(t)) })
}

func testSessions(t *testing.T, location string) {
	db, err := store.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Unix(1_800_000_000, 0)
	db.Now = func() time.Time { return now }
	operators, by := auth.Operators{DB: db}, auth.Actor{Name: "token:ann", Role: auth.Administrator}
	sessions := auth.Sessions{Operators: operators}
	token, err := operators.Add(t.Context(), by, auth.NewOperator{Name: "ann", Role: auth.Viewer, Valid: 100 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	open := func(old auth.Token) auth.Token {
		t.Helper()
		id, err := sessions.Open(t.Context(), by, token, old)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	lives := func(id auth.Token, used bool) bool {
		t.Helper()
		op, err := sessions.Find(t.Context(), id, used)
		if err != nil && !errors.Is(err, auth.ErrUnauthorized) {
			t.Fatal(err)
		}
		return err == nil && op.Name == "token:ann" && op.Role == auth.Viewer
	}

	planted := auth.Token("ota_ses_planted")
	first := open(planted)
	if first == planted || !lives(first, true) || lives(planted, true) || lives("", true) || lives(token, true) {
		t.Error("what is a session and should not be, or is none and should be")
	}
	second := open(first)
	if lives(first, true) || !lives(second, true) {
		t.Error("the id did not change at login")
	}

	t.Run("without use it ends", func(t *testing.T) {
		id := open("")
		now = now.Add(auth.SessionIdle - time.Second)
		if !lives(id, false) { // a page that asks by itself is no use
			t.Error("it ended too early")
		}
		now = now.Add(time.Second)
		if lives(id, true) {
			t.Error("it lives on")
		}
	})
	t.Run("however much it is used it ends", func(t *testing.T) {
		id, end := open(""), now.Add(auth.SessionLife)
		for ; now.Before(end); now = now.Add(auth.SessionIdle / 2) {
			if !lives(id, true) {
				t.Fatalf("it ended %s too early", end.Sub(now))
			}
		}
		if lives(id, true) {
			t.Error("it lives on")
		}
	})
	t.Run("closed it is over, and on record", func(t *testing.T) {
		id := open("")
		for range 2 {
			if err := sessions.Close(t.Context(), by, id); err != nil {
				t.Fatal(err)
			}
		}
		records, err := db.AuditRecords(t.Context(), audit.Filter{Action: "session.close"})
		if lives(id, true) || err != nil || len(records) != 1 {
			t.Errorf("%d records, %v", len(records), err)
		}
	})
	t.Run("a person's ends with its terms", func(t *testing.T) {
		person := auth.Person{Issuer: "https://login.example.com", Subject: "7", Name: "ann", Terms: "one", Role: auth.Approver}
		theirs := auth.Sessions{Operators: operators, Terms: person.Terms}
		id, err := theirs.OpenPerson(t.Context(), person, "192.0.2.1:1", "")
		if err != nil {
			t.Fatal(err)
		}
		got, err := theirs.Find(t.Context(), id, true)
		if want := (auth.Actor{Name: "oidc:ann", Role: auth.Approver}); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
		for _, terms := range []string{"", "other"} {
			if _, err := (auth.Sessions{Operators: operators, Terms: terms}).Find(t.Context(), id, true); !errors.Is(err, auth.ErrUnauthorized) {
				t.Errorf("terms %q: %v", terms, err)
			}
		}
		if err := operators.Revoke(t.Context(), by, "oidc:ann"); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Find(t.Context(), id, true); !errors.Is(err, auth.ErrUnauthorized) {
			t.Errorf("revoked: %v", err)
		}
	})
	t.Run("it ends with its token", func(t *testing.T) {
		id := open("")
		rotated, err := operators.Rotate(t.Context(), by, "ann")
		if err != nil {
			t.Fatal(err)
		}
		if lives(id, true) {
			t.Error("it outlives the secret that it was opened with")
		}
		token = rotated
		id = open("")
		if err := operators.Revoke(t.Context(), by, "ann"); err != nil {
			t.Fatal(err)
		}
		if lives(id, true) {
			t.Error("it outlives its token")
		}
	})
}
