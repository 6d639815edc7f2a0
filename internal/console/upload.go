package console

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/internal/protocol"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/repository"
	"github.com/secure-ota/secure-ota/trust"
)

func showUpload(v *visit) (*page, error) {
	return &page{Title: "Publish a release", Section: "releases"}, v.require("release.publish")
}

// publishRelease takes the form's files in the order in which the browser
// sends them: first what is small and says what is coming, which is checked,
// and then the firmware, which streams into the store.
func publishRelease(v *visit) (string, error) {
	v.Body = v.whole
	v.Body = io.NopCloser(protocol.Patient(v.w, v.Request))
	parts, err := v.MultipartReader()
	if err != nil {
		return "", fmt.Errorf("publish: %w: this form sends files", api.ErrMediaType)
	}
	release, err := publish(v, parts)
	if err != nil {
		return "", uploadAgain(v, err)
	}
	return releaseURL(release) + "?done=published", nil
}

func publish(v *visit, parts *multipart.Reader) (api.Release, error) {
	var bundle trust.Bundle
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return api.Release{}, fmt.Errorf("publish: %w: the form came without a firmware file", repository.ErrNoImage)
		}
		if err != nil {
			return api.Release{}, fmt.Errorf("read form: %w", err)
		}
		switch part.FormName() {
		case "manifest":
			bundle, err = readManifest(part)
		case "document":
			err = readDocument(part, &bundle)
		case "firmware":
			return publishFirmware(v, bundle, part)
		}
		if err != nil {
			return api.Release{}, err
		}
	}
}

// readManifest reads a signed manifest, alone or in a bundle.
func readManifest(part *multipart.Part) (trust.Bundle, error) {
	raw, err := readSmall(part, trust.MaxBundle)
	if err != nil {
		return trust.Bundle{}, err
	}
	if bundle, err := trust.DecodeBundle(raw); err == nil {
		return bundle, nil
	}
	return trust.Bundle{Manifest: raw}, nil
}

func readDocument(part *multipart.Part, bundle *trust.Bundle) error {
	raw, err := readSmall(part, trust.MaxReleaseDocument)
	if err == nil && len(raw) > 0 {
		bundle.ReleaseDocument = raw
	}
	return err
}

func readSmall(part *multipart.Part, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(part, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", part.FormName(), err)
	case int64(len(raw)) > limit:
		return nil, fmt.Errorf("read %s: %w: at most %d bytes; is it the firmware?", part.FormName(), trust.ErrTooLarge, limit)
	}
	return raw, nil
}

func publishFirmware(v *visit, bundle trust.Bundle, image io.Reader) (api.Release, error) {
	if len(bundle.Manifest) == 0 {
		return api.Release{}, fmt.Errorf("publish: %w: choose the signed manifest", repository.ErrNoManifest)
	}
	if err := v.CheckRelease(v.ctx(), bundle); err != nil {
		return api.Release{}, err
	}
	m, _, err := trust.ParseManifest(bundle.Manifest) // the repository has verified it
	if err != nil {
		return api.Release{}, err
	}
	stream := &forward{r: image}
	if err := v.Upload(v.ctx(), m.ImageDigest, int64(m.ImageSize), stream, nil); err != nil {
		return api.Release{}, err
	}
	if stream.at > 0 && stream.at < int64(m.ImageSize) {
		return api.Release{}, tooShort(stream.at)
	}
	return v.AddRelease(v.ctx(), bundle)
}

// forward is a stream that can be wound forward: to where an earlier upload of
// the same image broke off.
type forward struct {
	r  io.Reader
	at int64
}

// Read implements io.Reader.
func (f *forward) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.at += int64(n)
	return n, err
}

// Seek implements io.Seeker, from the start and forward only.
func (f *forward) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || offset < f.at || offset > manifest.MaxImageSize {
		return f.at, fmt.Errorf("wind from byte %d to %d: %w", f.at, offset, errors.ErrUnsupported)
	}
	_, err := io.CopyN(io.Discard, f, offset-f.at)
	if errors.Is(err, io.EOF) {
		err = tooShort(f.at)
	}
	return f.at, err
}

func tooShort(size int64) error {
	return fmt.Errorf("publish: %w: the file has only %s", repository.ErrImage, bytesInWords(size))
}

// maxDrain bounds what is read of a form that was refused, in bytes: a browser
// that is still sending may see a broken connection instead of the answer.
const maxDrain = 16 << 20

func uploadAgain(v *visit, cause error) error {
	form, err := showUpload(v)
	if err != nil {
		return err
	}
	io.Copy(io.Discard, io.LimitReader(v.Body, maxDrain))
	return &formError{form: form.as("upload"), cause: cause}
}
