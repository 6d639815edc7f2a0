package offline

import (
	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
)

func keyListCommand(e *env.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the keys of the home",
		Example: "  ota key list --json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return keyList(e) },
	}
}

func keyList(e *env.Env) error {
	h, err := e.Home()
	if err != nil {
		return err
	}
	keys, err := h.Keys()
	if err != nil {
		return err
	}
	unfinished, err := h.UnfinishedKeys()
	if err != nil {
		return err
	}
	for _, name := range unfinished {
		e.Warn("%s has no public half: its making was interrupted, nothing names it, and it can be removed", h.PrivatePath(name))
	}
	return e.Print(keyTable(keys))
}
