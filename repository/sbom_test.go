package repository

import (
	"errors"
	"math"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv/place"
)

// SBOMs stand in the database, and leave the room that images leave.
func TestSBOMsDoNotFillTheDisk(t *testing.T) {
	place.OnFiles(t)
	bom := []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}`)
	dir := t.TempDir()
	r, err := Open(ctx(), Config{Dir: dir, Reserve: math.MaxInt64 / 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddSBOM(ctx(), alice, bom); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openDir(t, dir).AddSBOM(ctx(), alice, bom); err != nil {
		t.Errorf("with room: %v", err)
	}
}
