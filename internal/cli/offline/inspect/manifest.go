package inspect

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/cose"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

func explainManifest(data []byte, obj *cose.Signed, c Context) (Result, error) {
	m, _, err := trust.ParseManifest(data)
	if err != nil {
		return Result{}, err
	}
	r := Result{Record: start("manifest", data)}
	r.Record = append(r.Record, manifestFields(m, obj)...)
	r.Record.Add("signatures", signatures(obj, c))
	r.conclude(judgeManifest(data, m.DeviceType, obj, c))
	return r, nil
}

// judgeManifest holds a manifest against the keysets held, newest first: the
// newest decides, but that an older one would take it is worth knowing.
func judgeManifest(data []byte, deviceType string, obj *cose.Signed, c Context) (Verdict, error, string) {
	if len(obj.Signatures) == 0 {
		return Refused, fmt.Errorf("%w: it has none", trust.ErrNotEnoughSigners), "nothing: it waits to be signed"
	}
	held := c.keysetsOf(deviceType)
	if len(held) == 0 {
		return Unchecked, nil, fmt.Sprintf("a keyset of %s; none is at hand", deviceType)
	}
	newest := held[len(held)-1]
	against := fmt.Sprintf("keyset version %d of %s", newest.Keyset().Version, deviceType)
	_, err := newest.VerifyManifest(data, c.Ring)
	if err == nil {
		return Verified, nil, against
	}
	for _, older := range held[:len(held)-1] {
		if _, olderErr := older.VerifyManifest(data, c.Ring); olderErr == nil && !errors.Is(err, trust.ErrBadSignature) {
			against += fmt.Sprintf("; version %d, which some devices may still hold, would take it", older.Keyset().Version)
		}
	}
	return Refused, err, against
}

func manifestFields(m *manifest.Manifest, obj *cose.Signed) record.Record {
	r := record.Record{
		{Name: "identity", Value: manifest.Digest(sha256.Sum256(obj.Payload)), Note: "SHA-256 of the payload"},
		{Name: "vendor", Value: m.Vendor},
		{Name: "device type", Value: m.DeviceType},
		{Name: "hardware revisions", Value: list(m.HardwareRevisions), Note: whenEmpty(len(m.HardwareRevisions) == 0, "all")},
		{Name: "component", Value: m.Component, Note: whenEmpty(m.Component == "", "main firmware")},
		{Name: "sequence", Value: m.Sequence, Note: fmt.Sprintf("release %d of key epoch %d", m.Sequence.Number(), m.Sequence.Epoch())},
		{Name: "version", Value: m.Version},
		{Name: "security counter", Value: m.SecurityCounter},
		{Name: "image size", Value: m.ImageSize, Note: "bytes"},
		{Name: "image sha256", Value: m.ImageDigest},
		{Name: "keyset version", Value: m.KeysetVersion, Note: "or newer must be held"},
	}
	if m.Expires.IsZero() {
		r.Addn("expires", nil, "never")
	} else {
		r.Add("expires", m.Expires.Format(time.RFC3339))
	}
	r.Add("security", m.Security())
	r.Add("downgrade", m.Downgrade())
	if m.Downgrade() {
		from := make([]string, len(m.DowngradeFrom))
		for i, s := range m.DowngradeFrom {
			from[i] = s.String()
		}
		r.Addn("downgrade from", from, "installed sequences it applies to")
	}
	if m.OldestReturn == 0 {
		r.Addn("rollback window", nil, "a device may not return by itself")
	} else {
		r.Addn("rollback window", m.OldestReturn, "oldest sequence a device may return to by itself")
	}
	if m.ReleaseDigest.IsZero() {
		r.Add("release document", nil)
	} else {
		r.Addn("release document", m.ReleaseDigest, "SHA-256")
	}
	return r
}

func whenEmpty(empty bool, note string) string {
	if empty {
		return note
	}
	return ""
}

// list is never nil: in JSON, no entries are [].
func list(s []string) []string { return append([]string{}, s...) }

func explainDocument(data []byte, _ Context) (Result, error) {
	d, err := manifest.DecodeDocument(data)
	if err != nil {
		return Result{}, err
	}
	r := Result{Record: start("release document", data)}
	r.Record.Add("notes", strings.TrimRight(d.Notes, "\n"))
	r.Record.Add("cves", list(d.CVEs))
	sboms := record.Table{}
	for _, s := range d.SBOMs {
		sboms = append(sboms, record.Record{{Name: "name", Value: s.Name}, {Name: "sha256", Value: s.SHA256}})
	}
	r.Record.Add("sbom", sboms)
	r.conclude(Unchecked, nil, "the manifest that names its SHA-256")
	return r, nil
}
