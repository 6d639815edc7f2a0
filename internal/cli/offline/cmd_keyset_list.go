package offline

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/record"
	"github.com/secure-ota/secure-ota/internal/home"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/trust"
)

func keysetListCommand(e *env.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List device types with their newest keyset, and keysets that wait for signatures",
		Example: "  ota keyset list",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return keysetList(e) },
	}
}

func keysetList(e *env.Env) error {
	h, err := e.Home()
	if err != nil {
		return err
	}
	types, err := h.Types()
	if err != nil {
		return err
	}
	t := record.Table{}
	for _, deviceType := range types {
		row, err := keysetRow(h, deviceType)
		if err != nil {
			return err
		}
		t = append(t, row)
	}
	return e.Print(t)
}

func keysetRow(h *home.Home, deviceType string) (record.Record, error) {
	ks := &trust.Keyset{}
	held, err := h.Newest(deviceType)
	if err == nil {
		ks = held.Keyset()
	} else if !errors.Is(err, home.ErrNoKeyset) {
		return nil, err
	}
	waiting, err := h.Request(deviceType)
	if err != nil {
		return nil, err
	}
	last, err := h.LastSequence(deviceType)
	if err != nil {
		return nil, err
	}
	return record.Record{
		{Name: "device type", Value: deviceType},
		{Name: "keyset version", Value: ks.Version},
		{Name: "roots", Value: fmt.Sprintf("%d of %d", ks.RootThreshold, len(ks.Roots))},
		{Name: "release keys", Value: fmt.Sprintf("%d of %d", ks.ReleaseThreshold, len(ks.Releases))},
		{Name: "security floor", Value: ks.SecurityFloor},
		{Name: "last sequence", Value: orNone(last)},
		{Name: "waiting", Value: waiting != nil},
	}, nil
}

// orNone shows a sequence that was never given out as none.
func orNone(s manifest.Sequence) any {
	if s == 0 {
		return nil
	}
	return s
}
