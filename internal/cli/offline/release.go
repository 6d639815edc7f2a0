package offline

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/internal/sbom"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
	"github.com/secure-ota/secure-ota/version"
)

// A ReleaseSpec is what somebody says about a release before it is signed. Its
// flags are shared by "ota manifest" and "ota publish".
type ReleaseSpec struct {
	DeviceType      string
	Version         version.Version
	Notes           string
	CVEs            []string
	SBOMs           []string // files
	Hardware        []string
	Component       string
	Sequence        manifest.Sequence // epoch 0: that of the key. Zero: the next one
	SecurityCounter uint32
	KeysetVersion   uint32 // 0: the oldest that lists the signing key
	Expires         date
	OldestReturn    manifest.Sequence
	Security        bool
	DowngradeFrom   []manifest.Sequence // not empty: an approved downgrade
	ImageDigest     manifest.Digest     // of an image that is published already; zero: a file is hashed
	ImageSize       int64               // bytes, with ImageDigest

	notesFile string
	alsoCVEs  []string // an older name of the flag
	signers   signerFlags
}

// NewReleaseSpec returns a spec whose signers are found through e.
func NewReleaseSpec(e *env.Env) *ReleaseSpec { return &ReleaseSpec{signers: newSignerFlags(e)} }

// Flags adds the flags of a release.
func (s *ReleaseSpec) Flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	textFlag(flags, (*typeName)(&s.DeviceType), "device-type", "the `TYPE` of device it is for")
	textFlag(flags, &s.Version, "version", "semantic `VERSION`, such as 2.1.0")
	flags.StringVar(&s.Notes, "release-notes", "", "notes for people, a `TEXT`")
	flags.StringVar(&s.notesFile, "notes-file", "", "notes for people, from `FILE`")
	flags.StringSliceVar(&s.CVEs, "fixes", nil, "a vulnerability it fixes, such as `CVE-2024-12345`; may be repeated")
	flags.StringSliceVar(&s.alsoCVEs, "cve", nil, "the same as --fixes")
	flags.MarkHidden("cve")
	cmd.MarkFlagsMutuallyExclusive("release-notes", "notes-file")
	flags.StringArrayVar(&s.SBOMs, "sbom", nil, "an SBOM `FILE` (CycloneDX or SPDX, JSON), named by its digest; may be repeated")
	flags.StringArrayVar(&s.Hardware, "hardware", nil, "a hardware `REVISION` that may install it; may be repeated (default: all)")
	flags.StringVar(&s.Component, "component", "", "the `NAME` of the component it is for (default: the main firmware)")
	textFlag(flags, (*releaseNumber)(&s.Sequence), "sequence", "release `NUMBER`, or EPOCH.NUMBER (default: last + 1)")
	flags.Uint32Var(&s.SecurityCounter, "security-counter", 0, "a higher `NUMBER` when older code must never return")
	flags.Uint32Var(&s.KeysetVersion, "keyset-version", 0, "lowest keyset `VERSION` a device must hold (default: the oldest that lists the key)")
	textFlag(flags, &s.Expires, "expires", "`DATE` after which devices with a clock refuse it")
	textFlag(flags, &s.OldestReturn, "rollback-window", "oldest `SEQUENCE` to which a device may return by itself (default: none)")
	flags.BoolVar(&s.Security, "security", false, "mark it as fixing a vulnerability")
	s.SignerFlags(cmd)
	cmd.RegisterFlagCompletionFunc("device-type", CompleteTypes(s.signers.env))
}

// SignerFlags adds the flags that say who signs; Flags includes them.
func (s *ReleaseSpec) SignerFlags(cmd *cobra.Command) {
	s.signers.add(cmd, "a release key of the type")
	s.signers.pass.FileFlag(cmd.Flags())
}

// A Release is a release ready to be signed, or signed.
type Release struct {
	Manifest *manifest.Manifest
	Raw      []byte                 // the signed object, with the signatures there are
	Document []byte                 // release document; nil if there is nothing to say
	Verified trust.VerifiedManifest // by the newest keyset of the home; zero if it was not, or not yet, signed enough
	Missing  error                  // what it lacks to verify; nil without a home
}

// ErrUnsigned means that nobody was named who signs what is to be published.
var ErrUnsigned = errors.New("the release is not signed: nobody is named who signs it")

// Build hashes the image, makes the manifest and the release document, and
// signs it with the keys given. h may be nil: then there is no vendor, the key
// epoch is 1, and nothing tells whether the keys are the right ones. With
// published the release is for a repository that has this, and what that would
// refuse is refused; nil: who it is for is not known, and others may sign it.
func (s *ReleaseSpec) Build(h *home.Home, image string, published *Published) (*Release, error) {
	if published != nil && !s.signers.given() {
		return nil, fmt.Errorf("%s %s: %w", s.DeviceType, s.Version, ErrUnsigned)
	}
	signers, err := s.signers.load(h)
	if err != nil {
		return nil, err
	}
	chain, err := keysetsOf(h, s.DeviceType)
	if err != nil {
		return nil, err
	}
	m, document, err := s.describe(h, image)
	if err != nil {
		return nil, err
	}
	if err := checkSigners(chain, s.DeviceType, signers); err != nil {
		return nil, err
	}
	epoch, err := chooseEpoch(h, chain, s.DeviceType, signers)
	if err != nil {
		return nil, err
	}
	m.KeysetVersion = s.KeysetVersion
	if m.KeysetVersion == 0 {
		m.KeysetVersion = oldestKeysetWith(chain, epoch)
	}
	if published != nil && len(chain) > 0 {
		ks := chain[len(chain)-1].Keyset()
		if err := enough(ks, signers); err != nil {
			return nil, err
		}
		if err := published.allows(m, ks, epoch); err != nil {
			return nil, err
		}
	}
	// The sequence last: what is refused before it takes none.
	if err = s.number(h, m, epoch, published); err != nil {
		return nil, err
	}
	r := &Release{Manifest: m, Document: document}
	if r.Raw, err = trust.UnsignedManifest(m); err != nil {
		return nil, err
	}
	for _, signer := range signers {
		if r.Raw, err = trust.SignManifest(r.Raw, signer); err != nil {
			return nil, err
		}
	}
	return r, r.verify(h, chain)
}

// describe makes the manifest but for its place in the order of releases.
func (s *ReleaseSpec) describe(h *home.Home, image string) (*manifest.Manifest, []byte, error) {
	vendor := ""
	if h != nil {
		vendor = h.Vendor()
	}
	m := manifest.New(vendor, s.DeviceType, 0, s.Version)
	m.HardwareRevisions = slices.Compact(slices.Sorted(slices.Values(s.Hardware)))
	m.Component = s.Component
	m.SecurityCounter = s.SecurityCounter
	m.Expires = s.Expires.Time
	m.OldestReturn = s.OldestReturn
	m.DowngradeFrom = slices.Compact(slices.Sorted(slices.Values(s.DowngradeFrom)))
	if s.Security {
		m.Flags |= manifest.FlagSecurity
	}
	if len(m.DowngradeFrom) > 0 {
		m.Flags |= manifest.FlagDowngrade
	}
	document, err := s.document()
	if err != nil {
		return nil, nil, err
	}
	if document != nil {
		m.ReleaseDigest = sha256.Sum256(document)
	}
	digest, size := s.ImageDigest, s.ImageSize
	if digest.IsZero() {
		if digest, size, err = hashImage(s.signers.env, image); err != nil {
			return nil, nil, err
		}
	}
	return m, document, m.SetImage(digest, size)
}

// document returns the encoded release document, nil if it would say nothing.
func (s *ReleaseSpec) document() ([]byte, error) {
	d := manifest.Document{Notes: s.Notes, CVEs: slices.Concat(s.CVEs, s.alsoCVEs)}
	if s.notesFile != "" {
		notes, err := s.signers.env.ReadFile(s.notesFile, manifest.MaxNotes)
		if err != nil {
			return nil, fmt.Errorf("notes: %w", err)
		}
		d.Notes = strings.TrimRight(string(notes), "\n")
	}
	files, err := s.ReadSBOMs()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		d.SBOMs = append(d.SBOMs, manifest.SBOM{Name: f.Name, SHA256: sha256.Sum256(f.Content)})
	}
	if d.IsEmpty() {
		return nil, nil
	}
	raw, _, err := d.Encode()
	return raw, err
}

// An SBOMFile is a bill of materials that a release names.
type SBOMFile struct {
	Name    string // of the file, without its directory
	Content []byte
}

// ReadSBOMs reads the SBOM files, and refuses what is none.
func (s *ReleaseSpec) ReadSBOMs() ([]SBOMFile, error) {
	var files []SBOMFile
	for _, name := range s.SBOMs {
		raw, err := s.signers.env.ReadFile(name, sbom.MaxSize)
		if err == nil {
			_, err = sbom.Parse(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("SBOM %s: %w", name, err)
		}
		files = append(files, SBOMFile{filepath.Base(name), raw})
	}
	return files, nil
}

// hashChunk is how much of an image is in memory at a time, in bytes.
const hashChunk = 64 << 10

func hashImage(e *env.Env, name string) (manifest.Digest, int64, error) {
	f, err := e.Open(name)
	if err != nil {
		return manifest.Digest{}, 0, err
	}
	defer f.Close()
	h := sha256.New()
	// Not a byte more than shows that it is too large: it may be a device.
	size, err := io.CopyBuffer(struct{ io.Writer }{h}, io.LimitReader(f, manifest.MaxImageSize+1), make([]byte, hashChunk))
	if err != nil {
		return manifest.Digest{}, 0, fmt.Errorf("hash image: %w", err)
	}
	return manifest.Digest(h.Sum(nil)), size, nil
}

func keysetsOf(h *home.Home, deviceType string) ([]trust.VerifiedKeyset, error) {
	if h == nil {
		return nil, nil
	}
	return h.Keysets(deviceType)
}

// chooseEpoch returns the key epoch of a release: that of its signing keys, or
// without any, that of the last release for as long as the newest keyset has
// keys of it, else the lowest it has.
func chooseEpoch(h *home.Home, chain []trust.VerifiedKeyset, deviceType string, signers []signer) (uint32, error) {
	if len(chain) == 0 {
		return 1, nil
	}
	ks := chain[len(chain)-1].Keyset()
	if len(signers) > 0 {
		return commonEpoch(ks, signers)
	}
	last, err := h.LastSequence(deviceType)
	if err != nil {
		return 0, err
	}
	lowest := uint32(0)
	for _, k := range ks.Releases {
		if k.Epoch == last.Epoch() {
			return k.Epoch, nil
		}
		if lowest == 0 || k.Epoch < lowest {
			lowest = k.Epoch
		}
	}
	return lowest, nil
}

// ErrNotReleaseKey means that a key may not sign releases of the device type.
var ErrNotReleaseKey = errors.New("it is not a release key of this device type")

func commonEpoch(ks *trust.Keyset, signers []signer) (epoch uint32, err error) {
	for _, s := range signers {
		id := s.Public().ID()
		i := slices.IndexFunc(ks.Releases, func(k trust.SignerKey) bool { return k.ID == id })
		if i < 0 {
			return 0, fmt.Errorf("key %s: %w by keyset version %d of %s", nameOf(s), ErrNotReleaseKey, ks.Version, ks.DeviceType)
		}
		if epoch != 0 && ks.Releases[i].Epoch != epoch {
			return 0, fmt.Errorf("keys of epochs %d and %d: %w: one release has one epoch", epoch, ks.Releases[i].Epoch, trust.ErrWrongEpoch)
		}
		epoch = ks.Releases[i].Epoch
	}
	return epoch, nil
}

// oldestKeysetWith returns the version of the oldest keyset whose devices can
// verify a release of the epoch, so that no device is shut out for nothing.
func oldestKeysetWith(chain []trust.VerifiedKeyset, epoch uint32) uint32 {
	for _, v := range chain {
		ks := v.Keyset()
		if slices.ContainsFunc(ks.Releases, func(k trust.SignerKey) bool { return k.Epoch == epoch }) {
			return ks.Version
		}
	}
	return 1
}

// number gives the manifest its sequence.
func (s *ReleaseSpec) number(h *home.Home, m *manifest.Manifest, epoch uint32, published *Published) error {
	seq, known := s.Sequence, manifest.Sequence(0)
	if published != nil {
		known = published.Sequence
	}
	if seq != 0 && seq.Epoch() == 0 {
		seq = manifest.NewSequence(epoch, seq.Number())
	}
	switch {
	case h == nil:
		m.Sequence = max(seq, manifest.NewSequence(epoch, 1))
		return nil
	case seq == 0:
		return h.NextSequence(m, epoch, known, published != nil)
	case seq <= known:
		return fmt.Errorf("sequence %s: %w: the repository has %s", seq, trust.ErrOldSequence, known)
	}
	return h.UseSequence(m, seq)
}

// verify checks what was signed as a device with the newest keyset would. That
// signatures are missing is no error: others may add theirs.
func (r *Release) verify(h *home.Home, chain []trust.VerifiedKeyset) error {
	if len(chain) == 0 {
		return nil
	}
	ring, err := h.Ring()
	if err != nil {
		return err
	}
	r.Verified, err = chain[len(chain)-1].VerifyManifest(r.Raw, ring)
	if errors.Is(err, trust.ErrNotEnoughSigners) {
		r.Missing = err
		return nil
	}
	return err
}

// OpenRelease takes a release that was made and signed elsewhere: its signed
// manifest and release document, which may be nil. It must verify under the
// newest keyset of the home.
func OpenRelease(h *home.Home, raw, document []byte) (*Release, error) {
	m, _, err := trust.ParseManifest(raw)
	if err != nil {
		return nil, err
	}
	if m.ReleaseDigest.IsZero() {
		document = nil
	}
	chain, err := h.Keysets(m.DeviceType)
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s: %w", m.DeviceType, home.ErrNoKeyset)
	}
	r := &Release{Manifest: m, Raw: raw, Document: document}
	return r, r.verify(h, chain)
}

// Bundle returns the release as it goes to a repository: manifest, release
// document, the type's keysets, and the keys to check them with.
func (r *Release) Bundle(h *home.Home) (trust.Bundle, error) {
	b, err := KeysetBundle(h, r.Manifest.DeviceType)
	b.Manifest, b.ReleaseDocument = r.Raw, r.Document
	return b, err
}
