package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/cli/env"
	"github.com/secure-ota/secure-ota/internal/testenv"
)

func packaged(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantServe wants a command line of "ota serve" that this program accepts.
func wantServe(t *testing.T, args []string) {
	t.Helper()
	if len(args) == 0 || args[0] != "serve" {
		t.Fatalf("no ota serve: %q", args)
	}
	cmd, rest, err := newRoot(&env.Env{}, args).Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil || len(cmd.Flags().Args()) != 0 {
		t.Errorf("%q: %v, and arguments %q", args, err, cmd.Flags().Args())
	}
}

func TestTheUnitStartsAServerThatMayDoLittle(t *testing.T) {
	t.Parallel()
	unit := packaged(t, "systemd/ota.service")
	start := regexp.MustCompile(`(?m)^ExecStart=(/usr/bin/ota) (.*)$`).FindStringSubmatch(unit)
	if start == nil {
		t.Fatal("no ExecStart of /usr/bin/ota")
	}
	wantServe(t, strings.Fields(start[2]))
	analyze := testenv.Tool(t, "systemd-analyze", "systemd")
	file := filepath.Join(t.TempDir(), "ota.service") // systemd wants the program to be there
	if err := os.WriteFile(file, []byte(strings.Replace(unit, start[1], "/bin/true", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", file).CombinedOutput(); err != nil || strings.Contains(string(out), "ota.service:") {
		t.Errorf("systemd does not like it: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--offline=true", file).CombinedOutput()
	found := regexp.MustCompile(`exposure level for ota.service: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > 1.5 {
		t.Errorf("exposure level %v, want 1.5 at most", level)
	}
}

// The image cannot be built by a test; what can be wrong without that is looked
// at here.
func TestTheImageRunsAServerAsNobody(t *testing.T) {
	t.Parallel()
	text := packaged(t, "docker/Dockerfile")
	text = strings.ReplaceAll(text, "\\\n", " ")
	known := strings.Fields("FROM WORKDIR COPY RUN ARG USER ENV VOLUME EXPOSE STOPSIGNAL ENTRYPOINT CMD")
	last := map[string]string{} // of the last stage
	stages := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		if !slices.Contains(known, verb) {
			t.Errorf("instruction %q", line)
		}
		switch verb {
		case "FROM":
			clear(last)
			if _, name, ok := strings.Cut(rest, " AS "); ok {
				stages[name] = true
			}
		case "COPY":
			wantSources(t, strings.Fields(rest), stages)
		}
		last[verb] = rest
	}
	if last["FROM"] != "scratch" || last["USER"] != "65532:65532" || last["VOLUME"] != "/data" {
		t.Errorf("the last stage: %q", last)
	}
	var entry, args []string
	if err := json.Unmarshal([]byte(last["ENTRYPOINT"]), &entry); err != nil || !slices.Equal(entry, []string{"/ota"}) {
		t.Errorf("entry point %q, %v", entry, err)
	}
	if err := json.Unmarshal([]byte(last["CMD"]), &args); err != nil {
		t.Fatal(err)
	}
	wantServe(t, args)
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if !strings.Contains(text, "FROM golang:"+string(goVersion[1])+"-") {
		t.Errorf("it does not build with Go %s", goVersion[1])
	}
}

// wantSources wants what a COPY copies from the tree to be there.
func wantSources(t *testing.T, fields []string, stages map[string]bool) {
	t.Helper()
	for i, field := range fields[:len(fields)-1] {
		if from, ok := strings.CutPrefix(field, "--from="); ok {
			if !stages[from] {
				t.Errorf("COPY from stage %s, which there is not", from)
			}
			return
		}
		if strings.HasPrefix(field, "--") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", "..", field)); err != nil {
			t.Errorf("COPY of %s, argument %d: %v", field, i, err)
		}
	}
}

// What the image's build leaves out, the program does without.
func TestTheImagesBuildHasWhatItNeeds(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}{{range .EmbedFiles}} {{.}}{{end}}{{end}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pattern := range strings.Lines(packaged(t, "docker/Dockerfile.dockerignore")) {
		pattern = strings.TrimSpace(pattern)
		if strings.Contains(pattern, "*") || pattern == "" {
			continue
		}
		if strings.Contains(string(out), "secure-ota/secure-ota/"+pattern+"/") || strings.Contains(string(out), "secure-ota/secure-ota/"+pattern+"\n") {
			t.Errorf("%s is left out, and needed", pattern)
		}
	}
}
