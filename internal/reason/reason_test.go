package reason_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/secure-ota/secure-ota/internal/reason"
)

// The numbers are wire format: the table of the specification and the one in
// the code are the same.
func TestReasonsAreThoseOfTheSpecification(t *testing.T) {
	text, err := os.ReadFile("../../docs/spec/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| (.+) \|$`).FindAllStringSubmatch(string(text), -1)
	all := reason.All()
	if len(rows) != len(all) {
		t.Fatalf("the specification has %d reasons, the code %d", len(rows), len(all))
	}
	for i, row := range rows {
		n, err := strconv.Atoi(row[1])
		if err != nil || n != int(all[i]) || row[2] != all[i].Error() {
			t.Errorf("the specification has %s %q, the code %d %q", row[1], row[2], all[i], all[i])
		}
	}
}

func TestOfFindsTheReasonInside(t *testing.T) {
	sentinel := reason.Named("a key of the wrong kind", reason.InvalidField)
	for _, c := range []struct {
		err  error
		want reason.Reason
	}{
		{nil, reason.None},
		{reason.OldSequence, reason.OldSequence},
		{fmt.Errorf("release 1.0.0: %w: sequence 1.3", reason.OldSequence), reason.OldSequence},
		{fmt.Errorf("load: %w", sentinel), reason.InvalidField},
		{errors.Join(errors.New("first"), reason.Expired), reason.Expired},
		{errors.New("the disk is gone"), reason.Internal},
	} {
		if got := reason.Of(c.err); got != c.want {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
	wrapped := fmt.Errorf("load: %w", sentinel)
	if !errors.Is(wrapped, sentinel) || !errors.Is(wrapped, reason.InvalidField) || wrapped.Error() != "load: a key of the wrong kind" {
		t.Errorf("a named reason does not keep its words: %v", wrapped)
	}
}

func TestUnknownReasonHasWords(t *testing.T) {
	if got := reason.Reason(200).Error(); got != "reason 200" {
		t.Errorf("got %q", got)
	}
}
