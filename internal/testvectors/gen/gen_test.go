package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestFilesAreWhatTheGeneratorWrites holds the files against the generator,
// byte for byte: nobody edits a vector by hand, and the generator is
// deterministic.
func TestFilesAreWhatTheGeneratorWrites(t *testing.T) {
	const root = "../../.."
	want := files()
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s differs from what \"go run ./internal/testvectors/gen\" writes (%v)", name, err)
		}
	}
	found, err := filepath.Glob(filepath.Join(root, "testvectors", "*.txt"))
	if err != nil || len(found) != len(want)-1 { // and the examples
		t.Errorf("found %d files of vectors, the generator writes %d (%v)", len(found), len(want)-1, err)
	}
}
