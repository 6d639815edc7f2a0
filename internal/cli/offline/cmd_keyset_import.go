package offline

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/trust"
)

// ErrUnknownRoots means that the first keyset of a type has roots of which
// this home knows none.
var ErrUnknownRoots = errors.New("this home knows none of its roots")

type keysetImportOptions struct {
	env        *env.Env
	trustRoots bool
}

func keysetImportCommand(e *env.Env) *cobra.Command {
	o := keysetImportOptions{env: e}
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Take signatures and keysets from requests, bundles and keyset files",
		Long: `Take what others signed: signatures on the keyset that waits here are united with those it has,
and when the roots are enough it becomes the newest. Keysets and public keys that this home lacks
are added. Every keyset is verified by the rule of rotation; a wrong signature refuses the file.

The first keyset of a type has nothing before it. If this home knows none of its roots, they are
shown and refused; compare them with what their holders say, then give --trust-roots.`,
		Example: `  ota keyset import sensor_v1.request
  ota keyset import from-alice.request from-bob.request
  ota keyset import vendor.keysets --trust-roots`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args) },
	}
	cmd.Flags().BoolVar(&o.trustRoots, "trust-roots", false, "take a first keyset with roots that this home does not know")
	return cmd
}

func (o *keysetImportOptions) run(files []string) error {
	h, err := o.env.Home()
	if err != nil {
		return err
	}
	done := record.Table{}
	for _, file := range files {
		rows, err := o.importFile(h, file)
		if err != nil {
			return fmt.Errorf("import %s: %w", file, err)
		}
		done = append(done, rows...)
	}
	return o.env.Print(done)
}

func (o *keysetImportOptions) importFile(h *home.Home, file string) (record.Table, error) {
	data, err := o.env.ReadFile(file, trust.MaxBundle)
	if err != nil {
		return nil, err
	}
	b, err := readKeysets(data)
	if err != nil {
		return nil, err
	}
	done := record.Table{}
	for _, raw := range b.Keysets {
		row, err := o.importKeyset(h, raw, b.Keys)
		if err != nil {
			return nil, err
		}
		if row != nil {
			done = append(done, row)
		}
	}
	return done, nil
}

// importKeyset takes one keyset; one that this home has already is passed over.
func (o *keysetImportOptions) importKeyset(h *home.Home, raw []byte, keys trust.KeyRing) (record.Record, error) {
	ks, _, err := trust.ParseKeyset(raw)
	if err != nil {
		return nil, err
	}
	chain, err := h.Keysets(ks.DeviceType)
	if err != nil {
		return nil, err
	}
	if len(chain) > 0 && chain[len(chain)-1].Keyset().Version >= ks.Version {
		return nil, checkSame(chain, ks)
	}
	if len(chain) == 0 && !o.trustRoots {
		if err := checkRoots(h, ks); err != nil {
			return nil, err
		}
	}
	complete, missing, err := h.PutKeyset(raw, keys)
	if err != nil {
		return nil, err
	}
	sayKeyset(o.env, ks, complete, missing)
	return record.Record{
		{Name: "device type", Value: ks.DeviceType},
		{Name: "keyset version", Value: ks.Version},
		{Name: "complete", Value: complete},
	}, nil
}

// checkSame refuses a keyset that has the version of one in the chain and says
// something else.
func checkSame(chain []trust.VerifiedKeyset, ks *trust.Keyset) error {
	for _, held := range chain {
		if held.Keyset().Version == ks.Version && !reflect.DeepEqual(held.Keyset(), ks) {
			return fmt.Errorf("keyset of %s: %w: this home has another keyset of version %d", ks.DeviceType, trust.ErrKeysetNotNewer, ks.Version)
		}
	}
	return nil
}

// checkRoots refuses the first keyset of a type if none of its roots is a root
// of another type here, or a key whose private half is here.
func checkRoots(h *home.Home, ks *trust.Keyset) error {
	types, err := h.Types()
	if err != nil {
		return err
	}
	var known []trust.KeyID
	for _, t := range types {
		if held, err := h.Newest(t); err == nil {
			for _, k := range held.Keyset().Roots {
				known = append(known, k.ID)
			}
		}
		waiting, err := h.Request(t)
		if err != nil {
			return err
		}
		if waiting != nil && t == ks.DeviceType {
			return nil // made or taken here before: PutKeyset compares the two
		}
	}
	var ids []string
	for _, root := range ks.Roots {
		k, err := h.KeyByID(root.ID)
		if slices.Contains(known, root.ID) || err == nil && k.Private != home.Absent {
			return nil
		}
		ids = append(ids, root.ID.String())
	}
	return fmt.Errorf("first keyset of %s: %w: %v", ks.DeviceType, ErrUnknownRoots, ids)
}
