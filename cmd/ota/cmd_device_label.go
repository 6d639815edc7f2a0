package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/cli/exit"
	"github.com/secure-ota/secure-ota/internal/fleet"
)

func deviceLabelCommand(e *env.Env) *cobra.Command {
	o := &deviceEdit{env: e}
	return o.command("label {TYPE ID | --filter FILTER} NAME=VALUE|NAME- …",
		"Set labels, and remove those with a dash behind their name",
		`  ota device label sensor_v1 dev-0001 site=berlin ring=beta old-
  ota device label --filter 'label.site=berlin and version<1.2.0' ring=late --dry-run`,
		atLeastOne, readLabels)
}

// readLabels reads NAME=VALUE and NAME-.
func readLabels(args []string) (fleet.Edit, error) {
	edit := fleet.Edit{Labels: map[string]*string{}}
	for _, arg := range args {
		name, value, set := strings.Cut(arg, "=")
		gone, removed := strings.CutSuffix(arg, "-")
		if !set && removed {
			name = gone
		}
		if _, twice := edit.Labels[name]; twice {
			return edit, exit.Usagef("label %s is given twice", name)
		}
		switch {
		case set:
			edit.Labels[name] = &value
		case removed:
			edit.Labels[name] = nil
		default:
			return edit, exit.Usagef("label %q: want NAME=VALUE, or NAME- to remove it", arg)
		}
	}
	return edit, nil
}
