package console

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/audit"
	"github.com/secure-ota/secure-ota/trust"
)

// Whoever records a new action gives it words here.
func TestEveryActionHasWords(t *testing.T) {
	recorded := regexp.MustCompile(`(?:Entry\(|operate\(ctx, by, ref, |change\(ctx, e, |complain\([^"]*|e\.(?:step|open)\(ctx, a, [^"]*|refused\(ctx, |Action: *)"([a-z.]+)"`)
	var actions []string
	for _, dir := range []string{"../fleet", "../api", "../auth", "../backup", "../rollout", "../../repository"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range recorded.FindAllStringSubmatch(string(text), -1) {
				action := match[1]
				if strings.HasPrefix(match[0], "refused(") {
					action = "refused." + action
				}
				if !strings.HasSuffix(action, ".") { // the rest of it comes with a value
					actions = append(actions, action)
				}
			}
		}
	}
	for event := trust.EventDownloading; event <= trust.EventKeyset; event++ {
		actions = append(actions, "device.report."+event.String())
	}
	if len(actions) < 20 {
		t.Errorf("only %d actions were found: %q", len(actions), actions)
	}
	for _, action := range actions {
		if phrases[action] == "" {
			t.Errorf("%s has no words", action)
		}
	}
}

func TestSentences(t *testing.T) {
	for want, r := range map[string]audit.Entry{
		"published a release: sensor_v1, 1.2.3": {
			Action: "release.publish", Object: "release:" + strings.Repeat("ab", 32), After: audit.JSON(map[string]any{"device_type": "sensor_v1", "version": "1.2.3", "sequence": "1.1"})},
		"withdrew release abababab…: bad battery": {
			Action: "release.withdraw", Object: "release:" + strings.Repeat("ab", 32), After: audit.JSON(map[string]any{"why": "bad battery"})},
		"was refused release.withdraw: its role does not allow it": {Action: "refused.forbidden", Object: "release.withdraw"},
		"new.thing device sensor_v1/dev-1":                         {Action: "new.thing", Object: "device:sensor_v1/dev-1", After: audit.JSON([]int{1})},
	} {
		if got := sentence(audit.Record{Entry: r}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestMoreVersionsThanShadesAreOnePart(t *testing.T) {
	b := versionBar("t", map[string]int{"7": 1, "6": 1, "5": 1, "4": 1, "3": 1, "2": 1, "1": 3, "": 1}, []string{"8", "7", "6", "5", "4", "3", "3", "2", "1"})
	if got, want := b.String(), "1 device 7, 1 device 6, 1 device 5, 1 device 4, 1 device 3, 4 devices older, 1 device unknown"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if last := b[len(b)-1]; last.X+last.Width != barWidth || b[0].Class != "shade0" || b[4].Class != "shade4" {
		t.Errorf("%+v", b)
	}
}
