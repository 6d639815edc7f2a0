package offline

import (
	"encoding/hex"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/home"
)

func keyShowCommand(e *env.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "show NAME",
		Short:             "Show a key of the home and the keysets that name it",
		Example:           "  ota key show root-1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeKeys(e),
		RunE:              func(_ *cobra.Command, args []string) error { return keyShow(e, args[0]) },
	}
}

func keyShow(e *env.Env, name string) error {
	h, err := e.Home()
	if err != nil {
		return err
	}
	k, err := h.Key(name)
	if err != nil {
		return err
	}
	r := keyRecord(h, k)
	types, err := h.Types()
	if err != nil {
		return err
	}
	named := record.Table{}
	for _, t := range types {
		chain, err := h.Keysets(t)
		if err != nil {
			return err
		}
		for _, ks := range chain {
			named = append(named, keyIn(ks.Keyset(), k.Public.ID())...)
		}
	}
	r.Add("keysets", named)
	return e.Print(r)
}

func keyRecord(h *home.Home, k home.Key) record.Record {
	kid := k.Public.ID().KID()
	r := record.Record{
		{Name: "name", Value: k.Name},
		{Name: "purpose", Value: k.Purpose},
		{Name: "algorithm", Value: k.Public.Algorithm()},
		{Name: "bits", Value: k.Public.Bits()},
		{Name: "key id", Value: k.Public.ID()},
		{Name: "kid", Value: hex.EncodeToString(kid[:])},
		{Name: "private", Value: string(k.Private)},
	}
	if k.Private != home.Absent {
		r.Add("private key", h.PrivatePath(k.Name))
	}
	r.Add("public key", h.PublicPath(k.Name))
	return r
}
