package repository

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-ota/secure-ota/internal/testenv/place"
)

func TestAnImageThatRottedIsReplacedByTheSameBytesOnly(t *testing.T) {
	place.OnFiles(t)
	v := newVendor("sensor_v1")
	r := started(t, v)
	release, image := publish(t, r, v, draft{number: 1, version: "1.0.0"}), firmwareOf("1.0.0")
	name := filepath.Join(r.Dir(), BlobsName, "sha256", release.Image.SHA256.String())
	for what, damage := range map[string]func() error{
		"changed": func() error { return os.WriteFile(name, bytes.Repeat([]byte("x"), len(image)), 0o600) },
		"cut":     func() error { return os.Truncate(name, 3) },
		"gone":    func() error { return os.Remove(name) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.ReplaceImage(ctx(), alice, bytes.NewReader(firmwareOf("other"))); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: other bytes: %v, want ErrNotFound", what, err)
		}
		if found, err := r.Fsck(ctx()); err != nil || found.Sound() {
			t.Errorf("%s: it passes for sound: %v", what, err)
		}
		if digest, replaced, err := r.ReplaceImage(ctx(), alice, bytes.NewReader(image)); err != nil || !replaced || digest != release.Image.SHA256 {
			t.Errorf("%s: %s, %t, %v", what, digest, replaced, err)
		}
		wantSound(t, r)
	}
	if _, replaced, err := r.ReplaceImage(ctx(), alice, bytes.NewReader(image)); err != nil || replaced {
		t.Errorf("a sound image: %t, %v", replaced, err)
	}
}
