package api

import (
	"context"

	"github.com/secure-ota/secure-ota/internal/sbom"
	"github.com/secure-ota/secure-ota/manifest"
)

// SBOMManagement is the part of Management that is about bills of materials
// and the vulnerabilities that releases fix.
type SBOMManagement interface {
	// AddSBOM stores an SBOM file under its digest, by which the documents of
	// releases name it. What is none is refused (sbom.ErrInvalid). Publisher.
	AddSBOM(ctx context.Context, raw []byte) (SBOM, error)
	// ReleaseSBOM returns an SBOM file that a release names; an empty name is
	// its only one. ErrNotFound: it names none of that name, or nobody has
	// stored it here. Viewer.
	ReleaseSBOM(ctx context.Context, identity manifest.Digest, name string) ([]byte, error)
	// Exposure says which devices still run what lacks the fix of a
	// vulnerability. Viewer.
	Exposure(ctx context.Context, q ExposureQuery) (Exposure, error)
}

// An SBOM is a bill of materials that is stored.
type SBOM struct {
	SHA256 manifest.Digest `json:"sha256"`
	sbom.Info
}

// An ExposureQuery asks about a vulnerability.
type ExposureQuery struct {
	CVE        string
	DeviceType string // empty: all
	Filter     string // docs/filters.md; empty: all devices
}
