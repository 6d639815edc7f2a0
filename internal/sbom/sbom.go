// Package sbom looks into a software bill of materials far enough to say that
// it is one: CycloneDX 1.2 to 1.7, SPDX 2.2 and 2.3, and SPDX 3.0, as JSON. What
// is in it is for the tools that read such files.
package sbom

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxSize is the largest file, in bytes.
const MaxSize = 16 << 20

// ErrInvalid is wrapped by the refusal of what is no SBOM.
var ErrInvalid = errors.New("not an SBOM")

// A Format is a family of SBOMs.
type Format string

// The formats.
const (
	CycloneDX Format = "CycloneDX"
	SPDX      Format = "SPDX"
)

// MediaType returns the registered type of the format's JSON form.
func (f Format) MediaType() string {
	if f == CycloneDX {
		return "application/vnd.cyclonedx+json"
	}
	return "application/spdx+json"
}

// Info says what an SBOM is.
type Info struct {
	Format     Format `json:"format"`
	Version    string `json:"version"`    // of the format
	Components int    `json:"components"` // that it lists: CycloneDX components, SPDX packages
}

// document is what tells the formats apart.
type document struct {
	BOMFormat   string           `json:"bomFormat"` // CycloneDX
	SpecVersion string           `json:"specVersion"`
	Components  []jsontext.Value `json:"components"`

	SPDXVersion       string           `json:"spdxVersion"` // SPDX 2
	ID                string           `json:"SPDXID"`
	DataLicense       string           `json:"dataLicense"`
	Name              string           `json:"name"`
	DocumentNamespace string           `json:"documentNamespace"`
	CreationInfo      jsontext.Value   `json:"creationInfo"`
	Packages          []jsontext.Value `json:"packages"`

	Context jsontext.Value   `json:"@context"` // SPDX 3
	Graph   []jsontext.Value `json:"@graph"`
}

var (
	cycloneVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^1\.[2-7]$`) })
	spdx3Context   = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^https://spdx\.org/rdf/(3\.0\.[0-9]+)/spdx-context\.jsonld$`)
	})
)

// Parse says what an SBOM is. Its error wraps ErrInvalid and says what is
// missing.
func Parse(raw []byte) (Info, error) {
	if len(raw) > MaxSize {
		return Info{}, fmt.Errorf("%w: %d bytes, at most %d", ErrInvalid, len(raw), MaxSize)
	}
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return Info{}, fmt.Errorf("%w: %v", ErrInvalid, reasonOf(err))
	}
	var info Info
	var err error
	switch {
	case d.BOMFormat != "":
		info, err = d.cycloneDX()
	case d.SPDXVersion != "":
		info, err = d.spdx2()
	case len(d.Context) > 0:
		info, err = d.spdx3()
	default:
		err = errors.New("neither bomFormat (CycloneDX) nor spdxVersion or @context (SPDX) is in it")
	}
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return info, nil
}

// reasonOf leaves out what an error says of the types of this program.
func reasonOf(err error) error {
	var misfit *json.SemanticError
	if errors.As(err, &misfit) {
		return fmt.Errorf("at %q: a value of another kind is wanted", misfit.JSONPointer)
	}
	return err
}

func (d *document) cycloneDX() (Info, error) {
	if d.BOMFormat != "CycloneDX" {
		return Info{}, fmt.Errorf("bomFormat is %.20q", d.BOMFormat)
	}
	if !cycloneVersion().MatchString(d.SpecVersion) {
		return Info{}, fmt.Errorf("CycloneDX specVersion %.20q: want 1.2 to 1.7", d.SpecVersion)
	}
	return Info{CycloneDX, d.SpecVersion, len(d.Components)}, each(d.Components, "component", "type", "name")
}

func (d *document) spdx2() (Info, error) {
	version, ok := strings.CutPrefix(d.SPDXVersion, "SPDX-")
	if !ok || version != "2.2" && version != "2.3" {
		return Info{}, fmt.Errorf("spdxVersion %.20q: want SPDX-2.2 or SPDX-2.3", d.SPDXVersion)
	}
	if d.ID != "SPDXRef-DOCUMENT" || d.DataLicense == "" || d.Name == "" || d.DocumentNamespace == "" || len(d.CreationInfo) == 0 {
		return Info{}, errors.New("an SPDX document has SPDXID SPDXRef-DOCUMENT, dataLicense, name, documentNamespace and creationInfo")
	}
	return Info{SPDX, version, len(d.Packages)}, each(d.Packages, "package", "SPDXID", "name")
}

func (d *document) spdx3() (Info, error) {
	var context string
	match := []string(nil)
	if json.Unmarshal(d.Context, &context) == nil {
		match = spdx3Context().FindStringSubmatch(context)
	}
	if match == nil {
		return Info{}, fmt.Errorf("@context %.80s: want the one of SPDX 3.0", d.Context)
	}
	info, documents := Info{Format: SPDX, Version: match[1]}, 0
	for _, raw := range d.Graph {
		var element struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(raw, &element); err != nil {
			return Info{}, errors.New("@graph has an element that is none")
		}
		switch element.Type {
		case "SpdxDocument":
			documents++
		case "software_Package":
			info.Components++
		}
	}
	if documents != 1 {
		return Info{}, fmt.Errorf("@graph has %d elements SpdxDocument: want 1", documents)
	}
	return info, nil
}

// each checks that every entry of a list has texts under two names.
func each(list []jsontext.Value, what, first, second string) error {
	for i, raw := range list {
		var entry map[string]jsontext.Value
		if err := json.Unmarshal(raw, &entry); err != nil {
			return fmt.Errorf("%s %d: %v", what, i+1, reasonOf(err))
		}
		for _, name := range []string{first, second} {
			var text string
			if json.Unmarshal(entry[name], &text) != nil || text == "" {
				return fmt.Errorf("%s %d has no %s", what, i+1, name)
			}
		}
	}
	return nil
}
