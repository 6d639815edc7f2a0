package api

import (
	"context"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/auth"
	"github.com/secure-ota/secure-ota/internal/sbom"
	"github.com/secure-ota/secure-ota/manifest"
)

func (l local) AddSBOM(ctx context.Context, raw []byte) (SBOM, error) {
	if err := l.allowSome(ctx, auth.Publisher, "sbom.add"); err != nil {
		return SBOM{}, err
	}
	info, err := sbom.Parse(raw)
	if err != nil {
		return SBOM{}, l.refused(ctx, "sbom", "", err)
	}
	digest, err := l.cfg.Repository.AddSBOM(ctx, l.as(), raw)
	return SBOM{digest, info}, err
}

func (l local) ReleaseSBOM(ctx context.Context, identity manifest.Digest, name string) ([]byte, error) {
	r, err := l.Release(ctx, identity)
	if err != nil {
		return nil, err
	}
	digest, err := r.sbom(name)
	if err != nil {
		return nil, err
	}
	raw, err := l.cfg.Repository.Document(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("SBOM of %s %s: the file is not stored here: %w", r.DeviceType, r.Version, err)
	}
	return raw, nil
}

// sbom returns the digest of an SBOM that the release names.
func (r Release) sbom(name string) (digest manifest.Digest, err error) {
	var list []manifest.SBOM
	if r.Document != nil {
		list = r.Document.SBOMs
	}
	for _, s := range list {
		if s.Name == name || name == "" && len(list) == 1 {
			return s.SHA256, nil
		}
	}
	if name == "" && len(list) > 1 {
		return digest, fmt.Errorf("%s %s has %d SBOMs: %w: say which", r.DeviceType, r.Version, len(list), ErrInvalid)
	}
	return digest, fmt.Errorf("SBOM %q of %s %s: %w", name, r.DeviceType, r.Version, ErrNotFound)
}
