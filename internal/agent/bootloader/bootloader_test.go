package bootloader

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-ota/secure-ota/internal/fsatomic"
)

// loader is what the client asks of each.
type loader interface {
	Status(context.Context) (State, error)
	Try(context.Context, int) error
	Set(context.Context, int) error
}

// A machine is a loader and what a reset does to it.
type machine struct {
	loader
	reset func(t *testing.T)
}

type dir string

func (d dir) ReadFile(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(d), name))
}
func (d dir) WriteFile(name string, data []byte) error {
	return fsatomic.WriteFile(fsatomic.OS(), filepath.Join(string(d), name), data, 0o600)
}

func fileMachine(t *testing.T) machine {
	f := NewFile(dir(t.TempDir()), 2)
	return machine{f, func(t *testing.T) {
		if _, err := f.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}}
}

// fakeSetenv is a fw_setenv over a text file, all of a call or nothing.
const fakeSetenv = `#!/bin/sh
[ "$1" = --script ] && [ "$2" = - ] || exit 2
env=$(dirname "$0")/env
cp "$env" "$env.new"
while IFS='=' read -r name value; do
	grep -v "^$name=" "$env.new" > "$env.tmp"
	echo "$name=$value" >> "$env.tmp"
	mv "$env.tmp" "$env.new"
done
mv "$env.new" "$env"
`

const fakePrintenv = `#!/bin/sh
cat "$(dirname "$0")/env"
`

func script(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func ubootMachine(t *testing.T) machine {
	d := t.TempDir()
	env := filepath.Join(d, "env")
	script(t, env, "bootcmd=run ota\n")
	u := UBoot{
		Printenv: script(t, filepath.Join(d, "fw_printenv"), fakePrintenv),
		Setenv:   script(t, filepath.Join(d, "fw_setenv"), fakeSetenv),
		Cmdline:  script(t, filepath.Join(d, "cmdline"), "console=ttyS0 ota.slot=a quiet\n"), Tries: 2,
	}
	return machine{u, func(t *testing.T) { ubootReset(t, u) }}
}

// ubootReset does what U-Boot does with CONFIG_BOOTCOUNT_ENV and the altbootcmd
// of docs/agent.md.
func ubootReset(t *testing.T, u UBoot) {
	t.Helper()
	raw, err := run(t.Context(), "", u.Printenv)
	if err != nil {
		t.Fatal(err)
	}
	env := variables(raw)
	if env["upgrade_available"] == "1" {
		count := number(env["bootcount"]) + 1
		env["bootcount"] = itoa(count)
		if count > number(env["bootlimit"]) {
			env["ota_slot"], env["upgrade_available"], env["bootcount"] = env["ota_fallback"], "0", "0"
		}
	}
	var vars [][2]string
	for name, value := range env {
		vars = append(vars, [2]string{name, value})
	}
	if err := u.write(t.Context(), vars); err != nil {
		t.Fatal(err)
	}
	script(t, u.Cmdline, "console=ttyS0 ota.slot="+env["ota_slot"]+" quiet\n")
}

func itoa(n int) string { return string(rune('0' + n)) }

// fakeLoader is the program of a Script.
const fakeLoader = `#!/bin/sh
d=$(dirname "$0")
case $1 in
status) cat "$d/state" ;;
try) active=$(sed -n s/^active=//p "$d/state"); running=$(sed -n s/^running=//p "$d/state")
	printf 'running=%s\nactive=%s\ntrial=%s\ntries=2\n' "$running" "$active" "$2" > "$d/new" && mv "$d/new" "$d/state" ;;
set) running=$(sed -n s/^running=//p "$d/state")
	printf 'running=%s\nactive=%s\ntrial=\n' "$running" "$2" > "$d/new" && mv "$d/new" "$d/state" ;;
*) exit 2 ;;
esac
`

func scriptMachine(t *testing.T) machine {
	d := t.TempDir()
	state := script(t, filepath.Join(d, "state"), "running=a\nactive=a\ntrial=\n")
	s := Script{Program: script(t, filepath.Join(d, "loader"), fakeLoader)}
	return machine{s, func(t *testing.T) {
		st, err := s.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case st.Trial != None && st.Tries > 0:
			st.Running, st.Tries = st.Trial, st.Tries-1
		default:
			st.Running, st.Trial = st.Active, None
		}
		text := "running=" + Name(st.Running) + "\nactive=" + Name(st.Active) + "\ntrial=" + Name(st.Trial) + "\ntries=" + itoa(st.Tries) + "\n"
		script(t, state, text)
	}}
}

func (m machine) want(t *testing.T, want State) {
	t.Helper()
	got, err := m.Status(t.Context())
	if got.Trial == None {
		got.Tries = 0
	}
	if err != nil || got != want {
		t.Fatalf("status %+v, %v; want %+v", got, err, want)
	}
}

func TestLoaders(t *testing.T) {
	for name, make := range map[string]func(*testing.T) machine{
		"file": fileMachine, "uboot": ubootMachine, "script": scriptMachine,
		"uboot, real tools, one copy":   func(t *testing.T) machine { return realUBoot(t, filepath.Join(t.TempDir(), "env"), 1) },
		"uboot, real tools, two copies": func(t *testing.T) machine { return realUBoot(t, filepath.Join(t.TempDir(), "env"), 2) },
	} {
		t.Run(name, func(t *testing.T) {
			m := make(t)
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(m.Set(t.Context(), 0))
			m.reset(t)
			m.want(t, State{Running: 0, Active: 0, Trial: None})
			must(m.Try(t.Context(), 1))
			m.want(t, State{Running: 0, Active: 0, Trial: 1, Tries: 2})
			m.reset(t)
			m.want(t, State{Running: 1, Active: 0, Trial: 1, Tries: 1})
			m.reset(t)
			m.want(t, State{Running: 1, Active: 0, Trial: 1, Tries: 0})
			m.reset(t) // nobody confirmed
			m.want(t, State{Running: 0, Active: 0, Trial: None})
			must(m.Try(t.Context(), 1))
			m.reset(t)
			must(m.Set(t.Context(), 1)) // confirmed
			m.want(t, State{Running: 1, Active: 1, Trial: None})
			m.reset(t)
			m.reset(t)
			m.reset(t)
			m.want(t, State{Running: 1, Active: 1, Trial: None})
			must(m.Try(t.Context(), 0))
			m.reset(t)
			must(m.Set(t.Context(), 1)) // rejected
			m.want(t, State{Running: 0, Active: 1, Trial: None})
			m.reset(t)
			m.want(t, State{Running: 1, Active: 1, Trial: None})
			if m.Try(t.Context(), 2) == nil || m.Set(t.Context(), -1) == nil {
				t.Error("a slot that is none was accepted")
			}
		})
	}
}

func TestTryIsCountedBeforeTheJump(t *testing.T) {
	d := dir(t.TempDir())
	f := NewFile(d, 1)
	if err := errors.Join(f.Set(t.Context(), 0), f.Try(t.Context(), 1)); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Next(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	// The image hangs; power off and on.
	if n, err := NewFile(d, 1).Next(t.Context()); n != 0 || err != nil {
		t.Errorf("boots %d, %v", n, err)
	}
}

func TestSetenvThatWritesElsewhereIsNoticed(t *testing.T) {
	m := ubootMachine(t)
	u := m.loader.(UBoot)
	u.Setenv = script(t, filepath.Join(t.TempDir(), "fw_setenv"), "#!/bin/sh\ncat >/dev/null\n")
	if err := u.Set(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "check fw_env.config") {
		t.Error(err)
	}
	u.Cmdline = script(t, filepath.Join(t.TempDir(), "cmdline"), "quiet\n")
	if _, err := u.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "ota.slot") {
		t.Error(err)
	}
	u.Setenv = "/nonexistent/fw_setenv"
	if err := u.Try(t.Context(), 1); err == nil {
		t.Error("a missing tool was not noticed")
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"active":"a","trial":"b","tries":3,"running":"a"}`))
	f.Add([]byte(`{"active":"a","trial":"","tries":0,"running":"b"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeRecord(raw)
		if err != nil {
			return
		}
		if s.Active < 0 || s.Active > 1 || s.Trial == s.Active || s.Tries < 0 || s.Tries > MaxTries {
			t.Errorf("accepted %+v", s)
		}
	})
}
