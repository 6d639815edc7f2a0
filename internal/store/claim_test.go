//go:build unix

package store

import (
	"errors"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/testenv/postgres"
)

func TestOneReplicaHoldsAClaim(t *testing.T) {
	server := postgres.Start(t)
	location := server.Database(t)
	left, right, other := openAt(t, location), openAt(t, location), openAt(t, server.Database(t))
	release, err := left.Claim(t.Context(), "upload 1")
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range []*DB{left, right} {
		if _, err := db.Claim(t.Context(), "upload 1"); !errors.Is(err, ErrClaimed) {
			t.Errorf("twice: %v", err)
		}
	}
	for _, db := range []*DB{right, other} {
		name := map[*DB]string{right: "upload 2", other: "upload 1"}[db] // another name, another schema
		again, err := db.Claim(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again()
	}
	release()
	held, err := right.Claim(t.Context(), "upload 1")
	if err != nil {
		t.Fatalf("released: %v", err)
	}
	// A replica that dies lets go.
	if err := right.Close(); err != nil {
		t.Fatal(err)
	}
	held()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if release, err = left.Claim(t.Context(), "upload 1"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	server.Stop()
	if _, err := other.Claim(t.Context(), "upload 1"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
	release()
	server.Restart(t)
	time.Sleep(calm)
	if _, err := left.Claim(t.Context(), "upload 1"); err != nil {
		t.Errorf("with the server back: %v", err)
	}
	if _, err := openAt(t, newPath(t)).Claim(t.Context(), "x"); !errors.Is(err, ErrClaimsUnsupported) {
		t.Error(err)
	}
}

// A connection that is lost takes its claims along, whoever finds that out.
func TestALostConnectionHoldsNoClaims(t *testing.T) {
	db, err := Open(t.Context(), postgres.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e := db.engine.(*postgresEngine)
	if _, err := e.claim(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	release, err := e.claim(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	e.claims.session.close() // as if the server had gone
	release()
	if _, err := e.claim(t.Context(), "one"); err != nil {
		t.Errorf("claimed again: %v", err)
	}
}
