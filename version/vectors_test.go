package version

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// readVectors decodes one file of the shared semver vectors, which lie beside the
// project's root or where OTA_SHARED says.
func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	shared := os.Getenv("OTA_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	data, err := os.ReadFile(filepath.Join(shared, "vectors", "semver", name))
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skipf("shared vectors are absent (set OTA_SHARED): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// wantCount fails when entries went missing; the lists may grow.
func wantCount(t *testing.T, got, least int) {
	t.Helper()
	t.Logf("%d entries", got)
	if got < least {
		t.Errorf("%d entries run, want at least %d", got, least)
	}
}

func TestSharedValidVersionsParse(t *testing.T) {
	var texts []string
	readVectors(t, "valid.json", &texts)
	for _, text := range texts {
		if v, err := Parse(text); err != nil || v.String() != text {
			t.Errorf("%q parsed to %q, %v", text, v, err)
		}
	}
	wantCount(t, len(texts), 31)
}

func TestSharedInvalidVersionsAreRefused(t *testing.T) {
	var texts []string
	readVectors(t, "invalid.json", &texts)
	for _, text := range texts {
		if _, err := Parse(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: error %v", text, err)
		}
	}
	wantCount(t, len(texts), 39)
}

func TestSharedOrderHolds(t *testing.T) {
	var order struct {
		ChainAscending []string `json:"chain_ascending"`
		Pairs          []struct {
			A, B string
			Cmp  int
		}
	}
	readVectors(t, "order.json", &order)
	for i, a := range order.ChainAscending {
		for j, b := range order.ChainAscending {
			want := max(-1, min(1, i-j))
			if got := Compare(mustParse(t, a), mustParse(t, b)); got != want {
				t.Errorf("Compare(%s, %s) = %d, want %d", a, b, got, want)
			}
		}
	}
	for _, p := range order.Pairs {
		a, b := mustParse(t, p.A), mustParse(t, p.B)
		if Compare(a, b) != p.Cmp || Compare(b, a) != -p.Cmp {
			t.Errorf("Compare(%s, %s) = %d, back %d, want %d", p.A, p.B, Compare(a, b), Compare(b, a), p.Cmp)
		}
	}
	wantCount(t, len(order.ChainAscending), 8)
	wantCount(t, len(order.Pairs), 18)
}
