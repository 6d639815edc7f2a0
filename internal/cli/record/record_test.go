package record

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

func TestTextAndJSONSayTheSame(t *testing.T) {
	r := Record{
		{Name: "name", Value: "x"},
		{Name: "key id", Value: []byte{0xab, 0xcd}, Note: "for people"},
		{Name: "none", Value: nil},
		{Name: "yes", Value: true},
		{Name: "rows", Value: Table{{{Name: "a", Value: 1}, {Name: "b", Value: "two"}}}},
		{Name: "empty", Value: Table{}},
	}
	var out strings.Builder
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := `name    x
key id  abcd  (for people)
none    -
yes     yes
rows
  A  B
  1  two
empty   -
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := WriteJSON(&out, r); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got["key_id"] != "abcd" || got["none"] != nil || got["yes"] != true || len(got["rows"].([]any)) != 1 || len(got["empty"].([]any)) != 0 {
		t.Errorf("got %s", out.String())
	}
}

// What comes from elsewhere cannot move the cursor of whoever looks at it.
func TestTextEscapesControlCharacters(t *testing.T) {
	hostile := "\x1b[2Jgood\rbad\u202e\x00\xff\u0007"
	var out strings.Builder
	r := Record{{Name: "label " + hostile + "\nforged  yes", Value: hostile, Note: hostile + "\nforged  yes"}, {Name: "t", Value: Table{{{Name: "cell", Value: hostile + "\nline"}}}}}
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, c := range out.String() {
		if c != '\n' && (c < ' ' || c == 0x202e || c == 0x7f) {
			t.Errorf("%q is on the terminal: %q", c, out.String())
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d lines: a cell broke its row: %q", n, out.String())
	}
}

func TestLongValuesStayInTheirColumn(t *testing.T) {
	var out strings.Builder
	if err := (Record{{Name: "notes", Value: "one\ntwo"}, {Name: "n", Value: 1}}).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	if want := "notes  one\n       two\nn      1\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
