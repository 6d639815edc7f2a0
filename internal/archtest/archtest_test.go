// Package archtest holds the walls of ARCHITECTURE.md: which package may know
// which. A wall that only a document holds does not stand for long.
package archtest

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/secure-ota/secure-ota"

// A zone is a set of packages with one kind of secret, and what code beside
// that secret must never be able to do.
type zone struct {
	name     string
	packages []string // import paths below the module; "/..." takes all below
	never    []string // import paths, or prefixes of them
}

var zones = []zone{
	{
		name:     "offline: holds private keys, so it talks to no network and to no database",
		packages: []string{"/signing", "/internal/cli/offline/..."},
		never:    []string{"net/http", "crypto/tls", "database/sql", "modernc.org/sqlite", module + "/internal/store"},
	},
	{
		name: "online: reachable by attackers, so it holds no signing key",
		packages: []string{"/repository", "/server", "/internal/fleet", "/internal/rollout", "/internal/protocol/...", "/internal/api",
			"/internal/store", "/internal/audit", "/internal/auth", "/internal/console", "/internal/metrics", "/internal/logging", "/internal/backup", "/internal/front"},
		never: []string{module + "/signing"},
	},
	{
		name:     "device: small, holds public keys and its own key",
		packages: []string{"/client", "/internal/agent/...", "/cmd/ota-agent"},
		never: []string{"database/sql", "modernc.org/sqlite", module + "/signing", module + "/server",
			module + "/repository", module + "/internal/store", module + "/internal/fleet", module + "/internal/api"},
	},
}

func TestZonesKeepApart(t *testing.T) {
	deps := listDeps(t)
	for _, z := range zones {
		t.Run(z.name, func(t *testing.T) {
			members := 0
			for pkg := range deps {
				if !inZone(z, pkg) {
					continue
				}
				members++
				for _, dep := range deps[pkg] {
					if slices.ContainsFunc(z.never, func(p string) bool { return dep == p || strings.HasPrefix(dep, p+"/") }) {
						t.Errorf("%s reaches %s", pkg, dep)
					}
				}
			}
			if members == 0 {
				t.Error("the zone is empty: its packages were renamed")
			}
		})
	}
}

func inZone(z zone, pkg string) bool {
	return slices.ContainsFunc(z.packages, func(p string) bool {
		if below, ok := strings.CutSuffix(p, "/..."); ok {
			return pkg == module+below || strings.HasPrefix(pkg, module+below+"/")
		}
		return pkg == module+p
	})
}

// The way of the data: each public package imports only those before it.
var order = []string{"version", "manifest", "delta", "trust", "signing", "rollback", "repository", "server", "client", "otatest"}

func TestPublicPackagesImportOnlyWhatIsBefore(t *testing.T) {
	deps := listDeps(t)
	for i, name := range order {
		for _, dep := range deps[module+"/"+name] {
			later := slices.Index(order, strings.TrimPrefix(dep, module+"/"))
			if later > i {
				t.Errorf("%s reaches %s, which comes after it", name, dep)
			}
		}
	}
}

func TestNoProtocolKnowsAnother(t *testing.T) {
	const prefix = module + "/internal/protocol/"
	for pkg, deps := range listDeps(t) {
		if !strings.HasPrefix(pkg, prefix) {
			continue
		}
		for _, dep := range deps {
			if strings.HasPrefix(dep, prefix) && !strings.HasPrefix(dep+"/", pkg+"/") {
				t.Errorf("%s reaches %s", pkg, dep)
			}
		}
	}
}

// A file that is written in place is half-written when the power goes, so
// only internal/fsatomic creates, renames and removes files.
func TestOnlyFsatomicWritesFiles(t *testing.T) {
	banned := []string{"Create", "CreateTemp", "WriteFile", "Rename", "Mkdir", "MkdirAll", "Symlink", "Link"}
	allowed := []string{"internal/fsatomic/"}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		name = filepath.ToSlash(name)
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != "." {
			return fs.SkipDir
		}
		isTest := strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "otatest/")
		if d.IsDir() || !strings.HasSuffix(name, ".go") || isTest ||
			slices.ContainsFunc(allowed, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "os" && slices.Contains(banned, sel.Sel.Name) {
				t.Errorf("%s uses os.%s; use internal/fsatomic", name, sel.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// listDeps returns every package of the module with all it reaches, test
// files apart.
func listDeps(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Deps", module+"/...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	deps := map[string][]string{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Deps       []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			return deps
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, module+"/") {
			deps[p.ImportPath] = p.Deps
		}
	}
}

// crashfs loses data on purpose, and imports testing.
func TestOnlyTestsUseCrashfs(t *testing.T) {
	for pkg, deps := range listDeps(t) {
		const crashfs = module + "/internal/fsatomic/crashfs"
		if pkg != crashfs && slices.Contains(deps, crashfs) {
			t.Errorf("%s reaches crashfs", pkg)
		}
	}
}
