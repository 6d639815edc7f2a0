package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
)

// Every command has a sentence, an example that begins with itself, and a line
// in docs/cli.md.
func TestEveryCommandIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			visit(c)
		}
		if cmd.HasSubCommands() && cmd.Example == "" { // a group
			return
		}
		path := cmd.CommandPath()
		if cmd.Short == "" || !strings.Contains(cmd.Example, path) {
			t.Errorf("%s: no sentence, or no example of itself", path)
		}
		if !strings.Contains(string(text), "`"+path) {
			t.Errorf("%s is not in docs/cli.md", path)
		}
	}
	visit(newRoot(&env.Env{}, nil))
}
