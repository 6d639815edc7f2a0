package threats_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryTestThatTheThreatModelNamesExists holds the document to the code: a
// claim whose test is gone is no claim.
func TestEveryTestThatTheThreatModelNamesExists(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 60 {
		t.Errorf("the document names %d tests", len(named))
	}
	for _, n := range named {
		if !declares(t, filepath.Join(root, filepath.FromSlash(n[1])), n[2]) {
			t.Errorf("%s has no %s", n[1], n[2])
		}
	}
	for _, n := range regexp.MustCompile("`(libota/tests/\\w+)\\.(test_\\w+)`").FindAllStringSubmatch(string(text), -1) {
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(n[1])+".c"))
		if err != nil || !strings.Contains(string(source), "\nstatic void "+n[2]+"(void)\n") {
			t.Errorf("%s.c has no %s: %v", n[1], n[2], err)
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllStringSubmatch(sources(t, "."), -1) {
		if strings.HasPrefix(row[1], "TestEveryTestThat") {
			continue
		}
		if !strings.Contains(string(text), "internal/threats."+row[1]+"`") {
			t.Errorf("%s executes a row that the document does not have", row[1])
		}
	}
}

func declares(t *testing.T, dir, test string) bool {
	t.Helper()
	return strings.Contains(sources(t, dir), "\nfunc "+test+"(")
}

// sources returns the test files of a directory.
func sources(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
