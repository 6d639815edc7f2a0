package offline

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/home"
)

func keysetShowCommand(e *env.Env) *cobra.Command {
	waiting := false
	cmd := &cobra.Command{
		Use:   "show TYPE [VERSION]",
		Short: "Show a keyset of a device type (default: the newest)",
		Example: `  ota keyset show sensor_v1
  ota keyset show sensor_v1 1 --json
  ota keyset show sensor_v1 --waiting      # the one that waits for signatures`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: CompleteTypeArg(e),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := e.Home()
			if err != nil {
				return err
			}
			if waiting {
				return printRequest(e, h, args[0])
			}
			raw, err := keysetArg(h, args)
			if err != nil {
				return err
			}
			return explain(e, h, raw)
		},
	}
	cmd.Flags().BoolVar(&waiting, "waiting", false, "show the keyset that waits for signatures, and what it changes")
	return cmd
}

// keysetArg returns the keyset that TYPE [VERSION] names.
func keysetArg(h *home.Home, args []string) ([]byte, error) {
	if len(args) == 1 {
		ks, err := h.Newest(args[0])
		return ks.Bytes(), err
	}
	version, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil {
		return nil, exit.Usagef("keyset version %q: want a number from 1", args[1])
	}
	chain, err := h.Keysets(args[0])
	if err != nil {
		return nil, err
	}
	for _, ks := range chain {
		if uint64(ks.Keyset().Version) == version {
			return ks.Bytes(), nil
		}
	}
	return nil, fmt.Errorf("keyset version %d of %s: %w", version, args[0], home.ErrNoKeyset)
}
