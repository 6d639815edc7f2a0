package inspect

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

// explainBundle explains what a bundle carries. Its keys help to check its
// objects, and its keysets are followed from one to the next, but they are
// believed no more than the bundle is.
func explainBundle(data []byte, c Context) (Result, error) {
	b, err := trust.DecodeBundle(data)
	if err != nil {
		return Result{}, err
	}
	c = withBundle(c, b)
	r := Result{Record: start("bundle", data)}
	keys := record.Table{}
	for _, k := range b.Keys.Keys() {
		keys = append(keys, record.Record{
			{Name: "key id", Value: k.ID()}, {Name: "algorithm", Value: k.Algorithm()}, {Name: "bits", Value: k.Bits()},
		})
	}
	r.Record.Add("keys", keys)
	worst, why := Verified, error(nil)
	add := func(name string, object []byte) error {
		inner, err := Object(object, c)
		if err != nil {
			return fmt.Errorf("bundle: %s: %w", name, err)
		}
		r.Record.Add(name, inner.Record)
		if worst != Refused && inner.Verdict != Verified {
			worst, why = inner.Verdict, inner.Err
		}
		return nil
	}
	for i, raw := range b.Keysets {
		if err := add(fmt.Sprintf("keyset %d", i+1), raw); err != nil {
			return Result{}, err
		}
	}
	if b.Manifest != nil {
		if err := add("manifest", b.Manifest); err != nil {
			return Result{}, err
		}
	}
	if b.ReleaseDocument != nil {
		doc, err := explainDocument(b.ReleaseDocument, c)
		if err != nil {
			return Result{}, err
		}
		r.Record.Add("release document", doc.Record)
		if err := documentFits(b); err != nil {
			worst, why = Refused, err
		}
	}
	r.conclude(worst, why, "what is in it, each by itself; a bundle is signed by nobody")
	return r, nil
}

// ErrDocument means that a manifest does not name the release document beside it.
var ErrDocument = errors.New("the manifest names another release document")

func documentFits(b trust.Bundle) error {
	m, _, err := trust.ParseManifest(b.Manifest)
	if err != nil {
		return err
	}
	if m.ReleaseDigest != manifest.Digest(sha256.Sum256(b.ReleaseDocument)) {
		return ErrDocument
	}
	return nil
}

// withBundle adds a bundle's keys, and its keysets where none are held.
func withBundle(c Context, b trust.Bundle) Context {
	ring := trust.KeyRing{}
	for id, k := range c.Ring {
		ring[id] = k
	}
	for id, k := range b.Keys {
		ring[id] = k
	}
	held := c.Keysets
	c.Ring = ring
	c.Keysets = func(deviceType string) []trust.VerifiedKeyset {
		if held != nil {
			if chain := held(deviceType); len(chain) > 0 {
				return chain
			}
		}
		return Chain(b.Keysets, ring, deviceType)
	}
	return c
}

// Chain follows keysets of a device type from the first, which is held against
// its own roots only, as far as each accepts the next.
func Chain(raws [][]byte, ring trust.KeyRing, deviceType string) []trust.VerifiedKeyset {
	var chain []trust.VerifiedKeyset
	for _, raw := range raws {
		if ks, _, err := trust.ParseKeyset(raw); err != nil || ks.DeviceType != deviceType {
			continue
		}
		var next trust.VerifiedKeyset
		var err error
		if len(chain) == 0 {
			next, err = trust.OpenHeld(raw, ring)
		} else {
			next, err = chain[len(chain)-1].Accept(raw, ring)
		}
		if err == nil {
			chain = append(chain, next)
		}
	}
	return chain
}
