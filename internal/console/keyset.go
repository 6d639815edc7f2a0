package console

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/trust"
)

// keysetPage is a keyset file on its way in: what publishing it would change.
type keysetPage struct {
	Plan    *api.KeysetPlan // nil: no file is chosen yet
	Newest  api.Keyset      // of what the plan adds
	Dropped []api.ReleaseKey
	Added   []api.ReleaseKey
	File    string // in base64: the form sends it again
}

func showNewKeyset(v *visit) (*page, error) {
	return keysetForm(&keysetPage{}), v.require("keyset.add")
}

func keysetForm(k *keysetPage) *page {
	return (&page{Title: "Publish a keyset", Section: "keys", Data: k}).as("keyset")
}

// planKeyset takes the file and shows what it would change.
func planKeyset(v *visit) (*page, error) {
	if err := v.require("keyset.add"); err != nil {
		return nil, err
	}
	raw, err := chosenFile(v, "keyset", trust.MaxBundle)
	if err != nil {
		return nil, &formError{form: keysetForm(&keysetPage{}), cause: err}
	}
	k, err := v.planKeyset(raw)
	if err != nil {
		return nil, &formError{form: keysetForm(&keysetPage{}), cause: err}
	}
	return keysetForm(k), nil
}

func (v *visit) planKeyset(raw []byte) (*keysetPage, error) {
	bundle, err := readKeyset(raw)
	if err != nil {
		return nil, err
	}
	plan, err := v.CheckKeyset(v.ctx(), bundle)
	if errors.Is(err, trust.ErrNotEnoughSigners) {
		err = fmt.Errorf("%w: %w", errNotFollowed, err)
	}
	if err != nil {
		return nil, err
	}
	k := &keysetPage{Plan: &plan, File: base64.StdEncoding.EncodeToString(raw)}
	if n := len(plan.Added); n > 0 {
		k.Newest = plan.Added[n-1]
		k.Added = k.Newest.Releases
		if plan.Held != nil {
			k.Added, k.Dropped = without(k.Newest.Releases, plan.Held.Releases), without(plan.Held.Releases, k.Newest.Releases)
		}
	}
	return k, nil
}

// without returns the keys that are not among others.
func without(keys, others []api.ReleaseKey) (rest []api.ReleaseKey) {
	known := map[api.ReleaseKey]bool{}
	for _, k := range others {
		known[k] = true
	}
	for _, k := range keys {
		if !known[k] {
			rest = append(rest, k)
		}
	}
	return rest
}

// readKeyset reads a signed keyset, alone or in a bundle.
func readKeyset(raw []byte) (trust.Bundle, error) {
	bundle, err := trust.DecodeBundle(raw)
	if err == nil {
		return trust.Bundle{Keysets: bundle.Keysets, Keys: bundle.Keys}, nil
	}
	if _, _, keysetErr := trust.ParseKeyset(raw); keysetErr != nil {
		return trust.Bundle{}, fmt.Errorf("read keyset: %w: it is neither a keyset nor a bundle: %v", api.ErrInvalid, keysetErr)
	}
	return trust.Bundle{Keysets: [][]byte{raw}}, nil
}

// publishKeyset publishes the file that was shown, if it would strand no more
// devices than the operator has agreed to.
func publishKeyset(v *visit) (string, error) {
	raw, err := sentFile(v, trust.MaxBundle)
	if err != nil {
		return "", err
	}
	k, err := v.planKeyset(raw)
	if err != nil {
		return "", err
	}
	agreed, err := wholeNumber("devices", v.field("stranded"))
	if err != nil {
		return "", err
	}
	if k.Plan.Stranded > agreed {
		cause := fmt.Errorf("publish keyset: %w: %s", errStranded, count(k.Plan.Stranded, "device"))
		return "", &formError{form: keysetForm(k), cause: cause}
	}
	bundle, err := readKeyset(raw)
	if err == nil {
		_, err = v.AddKeyset(v.ctx(), bundle)
	}
	return "/keys?done=keyset", err
}

var (
	// errStranded refuses a keyset that some devices cannot follow to.
	errStranded = fmt.Errorf("%w: some devices could not follow to it", api.ErrInvalid)
	// errNotFollowed refuses one that none can.
	errNotFollowed = errors.New("no device could follow to this keyset")
)

// chosenFile reads the one file of a form of files.
func chosenFile(v *visit, name string, limit int64) ([]byte, error) {
	v.Body = http.MaxBytesReader(v.w, v.whole, limit+maxForm)
	parts, err := v.MultipartReader()
	if err != nil {
		return nil, fmt.Errorf("read form: %w: this form sends files", api.ErrMediaType)
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read form: %w: choose a file", api.ErrInvalid)
		}
		if err != nil {
			return nil, fmt.Errorf("read form: %w", err)
		}
		if part.FormName() != name {
			continue
		}
		raw, err := readSmall(part, limit)
		if err == nil && len(raw) == 0 {
			err = fmt.Errorf("read form: %w: choose a file", api.ErrInvalid)
		}
		return raw, err
	}
}

// sentFile reads a file that a page of this console sends back, so that what is
// done is what was shown, whichever replica is asked.
func sentFile(v *visit, limit int64) ([]byte, error) {
	v.Body = http.MaxBytesReader(v.w, v.whole, limit*2+maxForm) // base64, escaped
	if err := v.ParseForm(); err != nil {
		return nil, fmt.Errorf("read form: %w: %v", api.ErrInvalid, err)
	}
	raw, err := base64.StdEncoding.DecodeString(v.field("file"))
	if err != nil || int64(len(raw)) > limit {
		return nil, fmt.Errorf("read form: %w: choose the file again", api.ErrInvalid)
	}
	return raw, nil
}
