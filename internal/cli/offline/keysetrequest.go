package offline

import (
	"errors"
	"fmt"
	"slices"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/cli/offline/inspect"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/trust"
)

// ErrNoRequest means that no keyset of the type waits for signatures.
var ErrNoRequest = errors.New("no keyset of this device type waits for signatures")

// A request is a keyset on its way between the holders of the roots: a bundle
// whose last keyset is the one to be signed, after the one it follows.
type request struct {
	bundle trust.Bundle
	keyset *trust.Keyset
	before *trust.Keyset // nil for the first keyset of a type
}

// requestOf returns the request that waits in the home.
func requestOf(h *home.Home, deviceType string) (*request, error) {
	raw, err := h.Request(deviceType)
	if err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, fmt.Errorf("%s: %w", deviceType, ErrNoRequest)
	}
	chain, err := h.Keysets(deviceType)
	if err != nil {
		return nil, err
	}
	if len(chain) > 1 {
		chain = chain[len(chain)-1:]
	}
	b, err := keysetBundle(h, chain)
	if err != nil {
		return nil, err
	}
	ring, err := h.Ring()
	if err != nil {
		return nil, err
	}
	b.Keysets = append(b.Keysets, raw)
	r, err := newRequest(b)
	if err == nil {
		addNamed(b.Keys, ring, r.keyset)
	}
	return r, err
}

// newRequest reads a request. What it says about the keyset before it is
// shown to people; whom it has to convince, it convinces by its signatures.
func newRequest(b trust.Bundle) (*request, error) {
	n := len(b.Keysets)
	if n == 0 {
		return nil, fmt.Errorf("keyset request: %w: no keyset in it", trust.ErrInvalidField)
	}
	r := &request{bundle: b}
	var err error
	if r.keyset, _, err = trust.ParseKeyset(b.Keysets[n-1]); err != nil {
		return nil, err
	}
	if n > 1 {
		if r.before, _, err = trust.ParseKeyset(b.Keysets[n-2]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// raw returns the keyset to be signed.
func (r *request) raw() []byte { return r.bundle.Keysets[len(r.bundle.Keysets)-1] }

// mayGive returns the key ids whose signatures count for something: the roots
// of the keyset and those of the one before it.
func (r *request) mayGive() []trust.KeyID {
	var ids []trust.KeyID
	for _, ks := range []*trust.Keyset{r.keyset, r.before} {
		if ks == nil {
			continue
		}
		for _, k := range ks.Roots {
			if !slices.Contains(ids, k.ID) {
				ids = append(ids, k.ID)
			}
		}
	}
	return ids
}

// sign adds the signatures of all signers.
func (r *request) sign(signers []signer) error {
	for _, s := range signers {
		if !slices.Contains(r.mayGive(), s.Public().ID()) {
			return fmt.Errorf("key %s: %w: it is no root of this keyset, nor of the one before it", nameOf(s), ErrWrongPurpose)
		}
		signed, err := trust.SignKeyset(r.raw(), s)
		if err != nil {
			return err
		}
		r.bundle.Keysets[len(r.bundle.Keysets)-1] = signed
	}
	return nil
}

// rootsAtHand loads the private root keys of the home that may sign.
func (r *request) rootsAtHand(f *signerFlags, h *home.Home) ([]signer, error) {
	if h == nil {
		return nil, exit.Usagef("say with --key or --signer who signs: there is no home")
	}
	var signers []signer
	for _, id := range r.mayGive() {
		k, err := h.KeyByID(id)
		if errors.Is(err, home.ErrNoKey) || err == nil && k.Private == home.Absent {
			continue
		}
		if err != nil {
			return nil, err
		}
		private, err := h.LoadKey(k.Name, f.pass.ForKey(k.Name))
		if err != nil {
			return nil, env.AboutFile(h.PrivatePath(k.Name), err)
		}
		signers = append(signers, newFileSigner(k.Name, private))
	}
	if len(signers) == 0 {
		return nil, fmt.Errorf("sign keyset %d of %s: no root at hand: %w", r.keyset.Version, r.keyset.DeviceType, home.ErrNoPrivate)
	}
	return signers, nil
}

// show prints the keyset to be signed, and what it changes.
func (r *request) show(h *home.Home, print func(record.Record) error) error {
	c, err := homeContext(h)
	if err != nil {
		return err
	}
	for id, k := range r.bundle.Keys {
		c.Ring[id] = k
	}
	result, err := inspect.Object(r.raw(), c)
	if err != nil {
		return err
	}
	result.Record.Add("changes", changes(r.before, r.keyset, c.Name))
	return print(result.Record)
}

// print is show on standard output.
func (r *request) print(e *env.Env, h *home.Home) error {
	return r.show(h, func(said record.Record) error { return e.Print(said) })
}

// printRequest prints the request that waits in the home.
func printRequest(e *env.Env, h *home.Home, deviceType string) error {
	r, err := requestOf(h, deviceType)
	if err != nil {
		return err
	}
	return r.print(e, h)
}

// changes says in words what a keyset changes.
func changes(before, after *trust.Keyset, name func(trust.KeyID) string) []string {
	if before == nil {
		return []string{"first keyset"}
	}
	words := append(
		keyChanges("root", before.Roots, after.Roots, name),
		keyChanges("release key", before.Releases, after.Releases, name)...)
	number := func(what string, a, b any) {
		if a != b {
			words = append(words, fmt.Sprintf("%s %v becomes %v", what, a, b))
		}
	}
	number("root threshold", before.RootThreshold, after.RootThreshold)
	number("release threshold", before.ReleaseThreshold, after.ReleaseThreshold)
	number("security floor", before.SecurityFloor, after.SecurityFloor)
	number("service port skips freshness:", before.ServiceSkipsFreshness, after.ServiceSkipsFreshness)
	return append([]string{}, words...)
}

func keyChanges(what string, before, after []trust.SignerKey, name func(trust.KeyID) string) []string {
	var words []string
	word := func(verb string, k trust.SignerKey) {
		id := k.ID.String()
		if name != nil && name(k.ID) != "" {
			id = name(k.ID)
		}
		words = append(words, fmt.Sprintf("%s %s %s", what, id, verb))
	}
	for _, k := range before {
		if !slices.Contains(after, k) {
			word("removed", k)
		}
	}
	for _, k := range after {
		if !slices.Contains(before, k) {
			word("added", k)
		}
	}
	return words
}

// keyIn says what a keyset says of a key, in a table of at most one record.
func keyIn(ks *trust.Keyset, id trust.KeyID) record.Table {
	row := func(use string, epoch uint32) record.Table {
		return record.Table{{
			{Name: "device type", Value: ks.DeviceType},
			{Name: "keyset version", Value: ks.Version},
			{Name: "use", Value: use},
			{Name: "epoch", Value: epoch},
		}}
	}
	for _, k := range ks.Roots {
		if k.ID == id {
			return row("root", 0)
		}
	}
	for _, k := range ks.Releases {
		if k.ID == id {
			return row("release", k.Epoch)
		}
	}
	return nil
}
