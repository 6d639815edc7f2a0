package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/secure-ota/secure-ota/internal/reason"
	"github.com/secure-ota/secure-ota/trust"
)

// keysetFiles are the two slots of keysets: a new one replaces the older, so
// that one is whole at any moment. They stand outside the journal.
var keysetFiles = [2]string{"keyset.a", "keyset.b"}

// maxWalk is how many keyset versions are asked for in one walk, one by one.
const maxWalk = 64

// openKeyset verifies a keyset under its own roots.
func openKeyset(raw []byte, coseKeys [][]byte) (trust.VerifiedKeyset, trust.KeyRing, error) {
	keys := trust.KeyRing{}
	for _, k := range coseKeys {
		key, err := trust.ParseCOSEKey(k)
		if err != nil {
			return trust.VerifiedKeyset{}, nil, fmt.Errorf("keys of the keyset: %w", err)
		}
		keys[key.ID()] = key
	}
	ks, err := trust.OpenHeld(raw, keys)
	return ks, keys, err
}

// loadKeyset takes the newest whole keyset of the two slots.
func (c *Client) loadKeyset() error {
	var failures []error
	for i, name := range keysetFiles {
		ks, keys, err := c.readKeyset(name)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if c.keyset.IsZero() || ks.Keyset().Version > c.keyset.Keyset().Version {
			c.keyset, c.keys, c.keysetFile = ks, keys, i
		}
	}
	if c.keyset.IsZero() {
		return fmt.Errorf("no keyset is held: %w", errors.Join(failures...))
	}
	return nil
}

func (c *Client) readKeyset(name string) (trust.VerifiedKeyset, trust.KeyRing, error) {
	raw, err := c.ops.ReadFile(name)
	if err != nil {
		return trust.VerifiedKeyset{}, nil, err
	}
	b, err := trust.DecodeBundle(raw)
	if err != nil {
		return trust.VerifiedKeyset{}, nil, err
	}
	if len(b.Keysets) != 1 {
		return trust.VerifiedKeyset{}, nil, fmt.Errorf("%w: %d keysets, want 1", trust.ErrInvalidField, len(b.Keysets))
	}
	ks, err := trust.OpenHeld(b.Keysets[0], b.Keys)
	return ks, b.Keys, err
}

// storeKeyset makes ks the held keyset. keys need hold no more than it names.
func (c *Client) storeKeyset(ks trust.VerifiedKeyset, keys trust.KeyRing) error {
	raw, err := (trust.Bundle{Keysets: [][]byte{ks.Bytes()}, Keys: keys}).Encode()
	if err != nil {
		return fmt.Errorf("store keyset: %w", err)
	}
	other := 1 - c.keysetFile
	if err := c.ops.WriteFile(keysetFiles[other], raw); err != nil {
		return fmt.Errorf("store keyset: %w", storage(err))
	}
	c.keyset, c.keys, c.keysetFile = ks, keys, other
	return nil
}

// adoptKeyset stores the first keyset, unless a newer one is held already.
func (c *Client) adoptKeyset(p Provisioning) error {
	ks, keys, err := openKeyset(p.Keyset, p.Keys)
	if err != nil {
		return err
	}
	if c.loadKeyset() == nil && c.keyset.Keyset().Version >= ks.Keyset().Version {
		return nil
	}
	return c.storeKeyset(ks, keys)
}

// FetchKeysets brings the held keyset up to the announced version, as far as
// the rule of rotation allows: the newest first, and if that cannot be
// accepted, one by one from the held version upwards. It returns why the newest
// was refused; what could be accepted on the way is held.
func (c *Client) FetchKeysets(ctx context.Context, announced uint32) error {
	if announced <= c.keyset.Keyset().Version {
		return nil
	}
	refusal := c.fetchKeyset(ctx, "latest")
	if refusal == nil || isTransport(refusal) {
		return refusal
	}
	held := c.keyset.Keyset().Version
	for step := range min(announced-held, maxWalk) {
		err := c.fetchKeyset(ctx, fmt.Sprint(held+1+step))
		if err != nil && (isTransport(err) && statusOf(err) == 0 || errors.Is(err, reason.Storage)) {
			return err
		}
	}
	if c.keyset.Keyset().Version >= announced {
		return nil
	}
	return refusal
}

// fetchKeyset fetches one version and accepts or refuses it.
func (c *Client) fetchKeyset(ctx context.Context, version string) error {
	raw, err := c.get(ctx, "/v1/keyset/"+c.id.DeviceType+"/"+version, trust.MaxKeyset)
	if err != nil {
		return fmt.Errorf("fetch keyset %s: %w", version, err)
	}
	claimed, _, err := trust.ParseKeyset(raw)
	if err != nil {
		return fmt.Errorf("keyset %s: %w", version, err)
	}
	keys, err := c.keysOf(ctx, claimed)
	if err != nil {
		return fmt.Errorf("keyset %s: %w", version, err)
	}
	ks, err := c.keyset.Accept(raw, keys)
	if err != nil {
		return fmt.Errorf("keyset %s: %w", version, err)
	}
	// The keys of the old roots are not kept: nobody counts them any more.
	for id := range keys {
		if !names(ks.Keyset(), id) {
			delete(keys, id)
		}
	}
	if err := c.storeKeyset(ks, keys); err != nil {
		return err
	}
	return c.note(ctx, QueuedReport{Event: trust.EventKeyset, Detail: fmt.Sprintf("keyset version %d", ks.Keyset().Version)})
}

// keysOf returns the held keys and those that the keyset names, fetched by id.
// The id is the key's hash, so that it does not matter who sends it.
func (c *Client) keysOf(ctx context.Context, ks *trust.Keyset) (trust.KeyRing, error) {
	ring := trust.NewKeyRing(c.keys.Keys()...)
	for _, k := range append(append([]trust.SignerKey{}, ks.Roots...), ks.Releases...) {
		if _, held := ring[k.ID]; held {
			continue
		}
		raw, err := c.get(ctx, "/v1/key/"+k.ID.String(), maxCOSEKey)
		if err != nil {
			return nil, fmt.Errorf("fetch key %s: %w", k.ID, err)
		}
		key, err := trust.ParseCOSEKey(raw)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		if key.ID() != k.ID {
			return nil, fmt.Errorf("key %s: %w: the server sent %s", k.ID, trust.ErrNotNamed, key.ID())
		}
		ring[k.ID] = key
	}
	return ring, nil
}

// maxCOSEKey is the longest public key, in bytes.
const maxCOSEKey = 544

func names(ks *trust.Keyset, id trust.KeyID) bool {
	for _, k := range append(append([]trust.SignerKey{}, ks.Roots...), ks.Releases...) {
		if k.ID == id {
			return true
		}
	}
	return false
}

// missing reports whether err says that a file is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
