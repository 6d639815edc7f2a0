package manifest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-ota/secure-ota/internal/reason"
)

// DocumentFormat is the format version of a release document.
const DocumentFormat = 1

// Limits of a release document.
const (
	MaxDocument = 64 << 10 // bytes, encoded
	MaxNotes    = 16 << 10 // bytes
	MaxCVEs     = 256
	MaxSBOMs    = 16
)

// A Document is what people read about a release: notes, vulnerabilities fixed
// and the digests of its SBOM files. The manifest names it by its digest;
// devices need not fetch it.
type Document struct {
	Format int      `json:"format"`
	Notes  string   `json:"notes"`
	CVEs   []string `json:"cves"` // sorted, for instance CVE-2024-12345
	SBOMs  []SBOM   `json:"sbom"` // CycloneDX or SPDX files
}

// An SBOM names a software bill of materials by its digest.
type SBOM struct {
	Name   string `json:"name"`
	SHA256 Digest `json:"sha256"`
}

// cvePattern follows the CVE record format; X stands in for a number that is
// still embargoed.
// Compiled at first use: every start of the program would pay for it.
var cvePattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^CVE-[0-9]{4}-([0-9]{4,19}|X{4,7})$`)
})

// CheckCVE says whether s is a CVE identifier.
func CheckCVE(s string) error {
	if !cvePattern().MatchString(s) {
		return fmt.Errorf("CVE %q: want the form CVE-2024-12345", s)
	}
	return nil
}

// IsEmpty reports whether the document says nothing.
func (d Document) IsEmpty() bool { return d.Notes == "" && len(d.CVEs) == 0 && len(d.SBOMs) == 0 }

// Validate checks every field against its bounds.
func (d Document) Validate() error {
	invalid := func(err error) error {
		return fmt.Errorf("release document: %w: %v", reason.InvalidField, err)
	}
	switch {
	case d.Format != DocumentFormat:
		return fmt.Errorf("release document: %w: format %d", reason.Unsupported, d.Format)
	case len(d.Notes) > MaxNotes || !utf8.ValidString(d.Notes):
		return invalid(fmt.Errorf("notes: want at most %d bytes of UTF-8", MaxNotes))
	case len(d.CVEs) > MaxCVEs || !strictlyAscending(d.CVEs):
		return invalid(fmt.Errorf("cves: want at most %d, sorted, each once", MaxCVEs))
	case len(d.SBOMs) > MaxSBOMs:
		return invalid(fmt.Errorf("sbom: %d entries, at most %d", len(d.SBOMs), MaxSBOMs))
	}
	for _, cve := range d.CVEs {
		if err := CheckCVE(cve); err != nil {
			return invalid(err)
		}
	}
	for _, s := range d.SBOMs {
		if err := CheckName(s.Name); err != nil {
			return invalid(fmt.Errorf("sbom: %w", err))
		}
	}
	return nil
}

// Encode validates the document, sorts its CVEs and returns it in canonical
// JSON (RFC 8785), with the digest by which a manifest names it.
func (d Document) Encode() ([]byte, Digest, error) {
	d.Format = cmp.Or(d.Format, DocumentFormat)
	d.CVEs = slices.Clone(d.CVEs)
	slices.Sort(d.CVEs)
	d.CVEs = slices.Compact(d.CVEs)
	if err := d.Validate(); err != nil {
		return nil, Digest{}, err
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, Digest{}, fmt.Errorf("encode release document: %w", err)
	}
	if err := (*jsontext.Value)(&raw).Canonicalize(); err != nil {
		return nil, Digest{}, fmt.Errorf("encode release document: %w", err)
	}
	if len(raw) > MaxDocument { // notes may grow sixfold by escaping
		return nil, Digest{}, fmt.Errorf("encode release document: %w: %d bytes, at most %d", reason.TooLarge, len(raw), MaxDocument)
	}
	return raw, sha256.Sum256(raw), nil
}

// DecodeDocument strictly decodes a release document: canonical, no unknown or
// duplicate member, nothing after it.
func DecodeDocument(raw []byte) (Document, error) {
	if len(raw) > MaxDocument {
		return Document{}, fmt.Errorf("decode release document: %w: %d bytes, at most %d", reason.TooLarge, len(raw), MaxDocument)
	}
	var d Document
	if err := json.Unmarshal(raw, &d, json.RejectUnknownMembers(true)); err != nil {
		return Document{}, fmt.Errorf("decode release document: %w: %v", reason.Malformed, err)
	}
	again, _, err := d.Encode()
	if err != nil {
		return Document{}, fmt.Errorf("decode release document: %w", err)
	}
	if string(again) != string(raw) {
		return Document{}, fmt.Errorf("decode release document: %w: not the canonical form", reason.Malformed)
	}
	return d, nil
}
