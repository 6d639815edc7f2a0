package rollback_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
	"github.com/secure-ota/secure-ota/internal/fsatomic/crashfs"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/rollback"
)

// A state file that opens can be changed, stored and opened again, and never
// panics in a check.
func FuzzOpenState(f *testing.F) {
	fs := crashfs.New()
	build(fs)
	text, err := fs.ReadFile(statePath)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fs := crashfs.New()
		if err := fsatomic.WriteFile(fs, statePath, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := rollback.OpenFS(fs, statePath)
		if err != nil {
			return
		}
		_ = p.Check(next(), facts())
		_ = p.CheckReturn(entry(1, "1.0.0"), 0)
		if err := p.Reject(manifest.Digest{1}); err != nil {
			return // for instance an entry without a version
		}
		again, err := rollback.OpenFS(fs, statePath)
		if err != nil {
			t.Fatalf("what was stored does not open: %v", err)
		}
		if diff := cmp.Diff(p.State(), again.State(), sameState); diff != "" {
			t.Fatalf("reads back differently:\n%s", diff)
		}
	})
}
