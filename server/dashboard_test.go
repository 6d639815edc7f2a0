package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/rollout"
	"github.com/secure-ota/secure-ota/otatest"
)

// exported returns the names of the metrics of a server that has seen a bit of
// everything.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	s, monitor := monitored(t)
	release := s.Publish("1.0.0", []byte("image"))
	checkIn(t, s, s.Device("dev-0001"), 1)
	download(t, s.PlainURL, release.ImageDigest)
	ask(t, http.DefaultClient, "GET", s.PlainURL+"/v1/nothing")
	m := s.Management()
	_, err1 := m.AuditCheckpoint(t.Context())
	_, err2 := m.SetDeviceType(t.Context(), rollout.TypeSettings{DeviceType: otatest.DeviceType, Offer: rollout.Rollouts})
	_, err3 := m.CreateRollout(t.Context(), rollout.Spec{
		Name: "spring", DeviceType: otatest.DeviceType, Release: release.Identity, Stages: []rollout.Stage{{Percent: 100}},
	})
	_, err4 := m.ActOnRollout(t.Context(), "spring", rollout.Start, "")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	ask(t, s.HTTPClient(), "GET", s.URL+"/api/v1/info", "Authorization", "Bearer "+s.Token)
	_, text := ask(t, http.DefaultClient, "GET", monitor+"/metrics")
	names := map[string]bool{}
	for line := range strings.Lines(text) {
		if name := regexp.MustCompile(`^[a-z_]+`).FindString(line); name != "" {
			names[name] = true
		}
	}
	return names
}

func TestTheAlertsAskForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	names := exported(t)
	text, err := os.ReadFile(filepath.Join("..", "packaging", "prometheus", "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`\bota_[a-z_]+`).FindAllString(string(text), -1)
	if len(asked) < 8 {
		t.Errorf("%d metrics are asked for", len(asked))
	}
	for _, name := range asked {
		if !names[name] {
			t.Errorf("an alert asks for %s, which no server has", name)
		}
	}
}

func TestTheDashboardAsksForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	names := exported(t)
	raw, err := os.ReadFile(filepath.Join("..", "packaging", "grafana", "secure-ota.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		UID    string `json:"uid"`
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil || dashboard.UID == "" {
		t.Fatalf("the dashboard: %v", err)
	}
	shown := map[string]bool{}
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, name := range regexp.MustCompile(`\b(?:ota|go|process)_[a-z_]+`).FindAllString(target.Expr, -1) {
				shown[name] = true
				if !names[name] {
					t.Errorf("%s asks for %s, which no server has", p.Title, name)
				}
			}
		}
	}
	for name := range names {
		if strings.HasPrefix(name, "ota_") && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") &&
			!shown[name] && !shown[strings.TrimSuffix(name, "_bucket")+"_count"] {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// A metric that nobody can look up helps nobody.
func TestEveryMetricIsDocumentedAndNoOther(t *testing.T) {
	t.Parallel()
	names := exported(t)
	text, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(ota_[a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = true
		if !names[m[1]] && !names[m[1]+"_count"] {
			t.Errorf("%s is documented and does not exist", m[1])
		}
	}
	for name := range names {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if strings.HasPrefix(name, "ota_") && !documented[name] && !documented[base] {
			t.Errorf("%s is not documented", name)
		}
	}
	for _, name := range regexp.MustCompile(`\bota_[a-z_]+\b`).FindAllString(string(text), -1) {
		if !names[name] && !names[name+"_count"] {
			t.Errorf("the text speaks of %s", name)
		}
	}
}
