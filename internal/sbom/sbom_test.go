package sbom_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/sbom"
)

const (
	cyclone = `{"bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79","version":1,
		"components":[{"type":"library","name":"mbedtls","version":"3.6.2"},{"type":"firmware","name":"app"}]}`
	spdx2 = `{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"app","documentNamespace":"https://example.com/app",
		"creationInfo":{"created":"2026-01-01T00:00:00Z","creators":["Tool: t"]},"packages":[{"SPDXID":"SPDXRef-a","name":"a","downloadLocation":"NOASSERTION"}]}`
	spdx3 = `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[{"type":"SpdxDocument","spdxId":"x"},
		{"type":"software_Package","name":"a"},{"type":"software_Package","name":"b"}]}`
)

func TestFormats(t *testing.T) {
	for text, want := range map[string]sbom.Info{
		cyclone: {Format: sbom.CycloneDX, Version: "1.6", Components: 2},
		spdx2:   {Format: sbom.SPDX, Version: "2.3", Components: 1},
		spdx3:   {Format: sbom.SPDX, Version: "3.0.1", Components: 2},
		`{"bomFormat":"CycloneDX","specVersion":"1.2"}`: {Format: sbom.CycloneDX, Version: "1.2"},
	} {
		if got, err := sbom.Parse([]byte(text)); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

func TestWhatIsNone(t *testing.T) {
	change := func(text, old, new string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%s is not in %s", old, text)
		}
		return strings.Replace(text, old, new, 1)
	}
	for name, text := range map[string]string{
		"nothing":                   "",
		"a text":                    `"CycloneDX"`,
		"XML":                       `<bom xmlns="http://cyclonedx.org/schema/bom/1.6"/>`,
		"another object":            `{"name":"app"}`,
		"a name twice":              `{"bomFormat":"CycloneDX","bomFormat":"CycloneDX","specVersion":"1.6"}`,
		"something behind it":       cyclone + "{}",
		"another format":            change(cyclone, "CycloneDX", "CycloneDY"),
		"a version to come":         change(cyclone, `"1.6"`, `"2.0"`),
		"components that are none":  change(cyclone, `[{"type":"library","name":"mbedtls","version":"3.6.2"},{"type":"firmware","name":"app"}]`, `{}`),
		"a component without name":  change(cyclone, `"name":"app"`, `"name":""`),
		"a component that is none":  change(cyclone, `{"type":"firmware","name":"app"}`, `1`),
		"SPDX of another version":   change(spdx2, "SPDX-2.3", "SPDX-1.2"),
		"SPDX without namespace":    change(spdx2, `"documentNamespace":"https://example.com/app",`, ""),
		"SPDX without creation":     change(spdx2, `"creationInfo":{"created":"2026-01-01T00:00:00Z","creators":["Tool: t"]},`, ""),
		"SPDX, a package unnamed":   change(spdx2, `"name":"a"`, `"nome":"a"`),
		"SPDX 3, another context":   change(spdx3, "spdx.org", "spdx.evil.example"),
		"SPDX 3 without document":   change(spdx3, "SpdxDocument", "Sbom"),
		"SPDX 3, a graph of a text": change(spdx3, `{"type":"SpdxDocument","spdxId":"x"}`, `"x"`),
	} {
		if info, err := sbom.Parse([]byte(text)); !errors.Is(err, sbom.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	if _, err := sbom.Parse(make([]byte, sbom.MaxSize+1)); !errors.Is(err, sbom.ErrInvalid) {
		t.Errorf("too long: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{cyclone, spdx2, spdx3} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		info, err := sbom.Parse(raw)
		if err != nil && !errors.Is(err, sbom.ErrInvalid) || err == nil && (info.Version == "" || info.Format.MediaType() == "") {
			t.Fatalf("%q: %+v, %v", raw, info, err)
		}
	})
}
