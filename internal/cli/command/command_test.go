package command

import (
	"errors"
	"io"
	"testing"

	"github.com/spf13/cobra"

	"github.com/secure-ota/secure-ota/internal/cli/exit"
)

var errWork = errors.New("the work failed")

func tree(args ...string) *cobra.Command {
	root := &cobra.Command{Use: "ota", SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
	root.SetArgs(args)
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	Add(root, args, []Lazy{
		{"work", func() *cobra.Command {
			work := &cobra.Command{Use: "work", Args: cobra.ExactArgs(1), RunE: func(*cobra.Command, []string) error { return errWork }}
			work.Flags().Bool("a", false, "")
			work.Flags().Bool("b", false, "")
			work.MarkFlagsMutuallyExclusive("a", "b")
			return work
		}},
		{"key", func() *cobra.Command {
			return Group("key", "keys", &cobra.Command{Use: "list", RunE: func(*cobra.Command, []string) error { return nil }})
		}},
	})
	return root
}

// What is wrong with the command line is usage, exit 2; what the work itself
// says is not.
func TestErrorsBeforeTheWorkAreUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		help string
	}{
		{[]string{"work", "x"}, exit.Refused, ""},
		{[]string{"work"}, exit.Usage, "ota work"},
		{[]string{"work", "x", "y"}, exit.Usage, "ota work"},
		{[]string{"work", "x", "--nonsense"}, exit.Usage, "ota work"},
		{[]string{"work", "x", "--a", "--b"}, exit.Usage, "ota work"},
		{[]string{"nonsense"}, exit.Usage, "ota"},
		{[]string{"key", "nonsense"}, exit.Usage, "ota key"},
		{[]string{"key", "list"}, exit.OK, ""},
		{[]string{"key"}, exit.OK, ""},
		{nil, exit.OK, ""},
	} {
		err := Execute(t.Context(), tree(c.args...))
		if exit.Code(err) != c.code {
			t.Errorf("%v: exit code %d (%v), want %d", c.args, exit.Code(err), err, c.code)
		}
		var usage *exit.UsageError
		if errors.As(err, &usage) && usage.Command != c.help {
			t.Errorf("%v: help of %q, want %q", c.args, usage.Command, c.help)
		}
		if c.code == exit.Refused && !errors.Is(err, errWork) {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}

func TestOnlyTheCommandThatIsNamedIsMade(t *testing.T) {
	if n := len(tree("work").Commands()); n != 1 {
		t.Errorf("%d commands made for one", n)
	}
	for _, args := range [][]string{nil, {"--help"}, {"help", "work"}, {"__complete", "w"}} {
		if n := len(tree(args...).Commands()); n != 2 {
			t.Errorf("%v: %d commands made, want all", args, n)
		}
	}
}
