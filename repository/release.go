package repository

import (
	"time"

	"github.com/secure-ota/secure-ota/internal/blob"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// A Release is one published release, with its manifest verified again under
// the keyset it was accepted under. It is a value, to be kept as long as
// wanted.
type Release struct {
	Manifest      trust.VerifiedManifest
	ManifestHash  manifest.Digest // of the signed manifest's bytes
	Image         Sums
	KeysetVersion uint32 // of the keyset under which it was accepted
	Published     time.Time
	PublishedBy   string
	Withdrawal    *Withdrawal // nil: it is on offer
}

// Sums are size and digests of an image. Some old update protocols announce
// MD5 and SHA-1.
type Sums = blob.Sums

// A Withdrawal says who withdrew a release, when and why.
type Withdrawal struct {
	Time   time.Time `json:"time"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Identity returns the SHA-256 of the manifest's payload, which names the
// release everywhere.
func (r Release) Identity() manifest.Digest { return r.Manifest.Identity() }

// Version returns the release's version.
func (r Release) Version() version.Version { return r.Manifest.Manifest().Version }

// Withdrawn reports whether the release was withdrawn.
func (r Release) Withdrawn() bool { return r.Withdrawal != nil }
