package filter_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-ota/secure-ota/internal/filter"
	"github.com/secure-ota/secure-ota/version"
)

func readGuide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "filters.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows returns the cells of the table whose heading begins so.
func rows(t *testing.T, guide, heading string) [][]string {
	t.Helper()
	_, after, ok := strings.Cut(guide, "\n"+heading)
	if !ok {
		t.Fatalf("no table %q", heading)
	}
	_, after, _ = strings.Cut(after, "|---")
	var table [][]string
	for line := range strings.Lines(after[strings.Index(after, "\n")+1:]) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|\n"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		table = append(table, cells)
	}
	return table
}

func TestGuideDescribesEveryField(t *testing.T) {
	table := rows(t, readGuide(t), "| field |")
	fields := filter.Fields()
	if len(table) != len(fields) {
		t.Fatalf("%d fields in the guide, %d there are", len(table), len(fields))
	}
	kinds := map[filter.Kind]string{
		filter.Words: "text", filter.Versions: "version", filter.Numbers: "number", filter.Moments: "time", filter.Flags: "yes or no",
	}
	for i, f := range fields {
		kind := kinds[f.Kind()]
		if f.Words() != nil {
			kind = "one of"
			for _, w := range f.Words() {
				if strings.Contains(w, " ") {
					w = `"` + w + `"`
				}
				kind += " `" + w + "`"
			}
		}
		if row := table[i]; row[0] != "`"+f.String()+"`" || row[1] != kind || row[2] != f.About() {
			t.Errorf("field %s: the guide says %q; want %q %q", f, row, kind, f.About())
		}
	}
}

func TestExamplesOfTheGuide(t *testing.T) {
	guide := readGuide(t)
	var devices []*subject
	for _, row := range rows(t, guide, "| id | type |") {
		devices = append(devices, deviceOf(t, row))
	}
	examples := rows(t, guide, "| filter | selects |")
	if len(devices) != 5 || len(examples) < 10 {
		t.Fatalf("%d devices and %d examples in the guide", len(devices), len(examples))
	}
	for _, row := range examples {
		text := strings.Trim(row[0], "`")
		f, err := filter.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var selected []string
		for _, d := range devices {
			if f.Match(d) {
				selected = append(selected, d.Text(filter.ID))
			}
		}
		if got := strings.Join(selected, " "); got != row[1] {
			t.Errorf("%s selects %s; the guide says %s", text, got, row[1])
		}
	}
}

func deviceOf(t *testing.T, row []string) *subject {
	t.Helper()
	s := newSubject(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s.texts = map[filter.Field]string{filter.ID: row[0], filter.Type: row[1], filter.Hardware: row[2], filter.State: row[5], filter.Note: row[8]}
	s.labels["site"] = row[6]
	var err error
	if row[3] != "" {
		s.versions[filter.Version], err = version.Parse(row[3])
	}
	if err == nil {
		s.numbers[filter.Keyset], err = strconv.ParseUint(row[4], 10, 32)
	}
	if err == nil && row[7] != "" {
		s.times[filter.Seen], err = time.Parse(time.RFC3339, row[7])
	}
	if err != nil {
		t.Fatal(err)
	}
	s.flags[filter.Hold] = row[9] == "yes"
	return s
}
