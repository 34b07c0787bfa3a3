package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "sealift.dev"

// rule says who may import a library or a package of ours. Paths cover what is below them.
type rule struct {
	imports []string
	by      []string // folders of the project
	symbols []string // what everybody may use of it nevertheless
	tests   bool     // files *_test.go may, wherever they are
}

// rules is the table of who may import whom.
func rules() []rule {
	return []rule{
		{imports: []string{"sealift.dev/publisher"}, by: []string{"publisher", "cmd", "test"}},
		{imports: []string{"sealift.dev/automator"}, by: []string{"automator", "cmd", "test"}},
		{imports: []string{"sealift.dev/synchronizer"}, by: []string{"synchronizer", "cmd", "test"}},
		{imports: []string{"sealift.dev/cmd"}, by: []string{"cmd"}},
		{imports: []string{"sealift.dev/test"}, by: []string{"test"}, tests: true},
		{imports: []string{"sealift.dev/api"}, by: []string{"api", "synchronizer/controller", "synchronizer/console", "test"}, tests: true,
			symbols: []string{"Config", "ConfigFile", "Publish", "Environment", "Helm", "ImagePath", "Automate", "Image", "Select", "Target", "HelmTarget", "CommitAuthor",
				"AutomatePush", "AutomateCommit", "PullRequests", "Window", "FluxMode", "FluxFollow", "FluxIgnore", "PinMode", "PinNever", "PinIfNotPresent", "PinAlways", "OnRevert", "RevertSkip", "RevertFreeze"}},
		{imports: []string{"sigs.k8s.io/controller-runtime"}, by: []string{"synchronizer/controller"}},
		{imports: []string{"github.com/prometheus"}, by: []string{"synchronizer/controller", "automator/metrics"}},
		{imports: []string{"oras.land/oras-go"}, by: []string{"artifact"}, tests: true},
		{imports: []string{"github.com/aws", "github.com/Azure", "golang.org/x/oauth2"}, by: []string{"internal/cloud"}, tests: true},
		{imports: []string{"github.com/google/go-containerregistry"}, by: []string{"automator/registry", "test"}, tests: true},
		{imports: []string{"github.com/google/go-github", "gitlab.com/gitlab-org/api", "code.gitea.io/sdk", "github.com/bradleyfalzon"},
			by: []string{"automator/forge"}},
		{imports: []string{"github.com/pelletier/go-toml"}, by: []string{"automator/edit"}},
		{imports: []string{"github.com/go-git"}, by: []string{"automator/remote", "internal/git", "test"}, tests: true},
		{imports: []string{"github.com/google/cel-go"}, by: []string{"internal/condition"}},
		{imports: []string{"github.com/getsops/sops", "filippo.io/age"}, by: []string{"synchronizer/tailor"}},
		{imports: []string{"github.com/ProtonMail/go-crypto"}, by: []string{"synchronizer/tailor", "automator/remote"}},
		{imports: []string{"github.com/hiddeco/sshsig", "github.com/skeema/knownhosts"}, by: []string{"automator/remote"}, tests: true},
		{imports: []string{"github.com/sigstore"}, by: []string{"verify", "publisher/signer", "test"}, tests: true},
		{imports: []string{"log"}, by: []string{"cmd", "synchronizer/controller", "test"}, tests: true},
		{imports: []string{"github.com/go-logr/logr", "k8s.io/klog"}, by: []string{"cmd", "synchronizer/controller", "test"},
			tests: true, symbols: []string{"Discard", "Logger", "NewContext"}}, // what silences a library
	}
}

// engineImports is all that the engine may import besides the standard library.
func engineImports() []string {
	return []string{
		"sealift.dev/synchronizer/engine", "k8s.io", "sigs.k8s.io", "github.com/fluxcd/cli-utils",
		"github.com/go-logr/logr", "golang.org/x",
	}
}

// use is one import in one file.
type use struct {
	from    string // the file's folder in the project
	file    string
	test    bool // the file is *_test.go
	imports string
	symbols []string // what the file uses of it
}

func TestImportTable(t *testing.T) {
	packages := goList(t)
	seen := false
	for _, p := range packages {
		for _, file := range p.files() {
			uses, err := readUses(p.folder(), file)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range uses {
				seen = seen || u.from == "test/stage" && u.imports == "sealift.dev/test/parts"
				if why := broken(u); why != "" {
					t.Error(why)
				}
			}
		}
	}
	if !seen {
		t.Errorf("the imports of %d packages lack one that is there", len(packages))
	}
}

// broken says which rule u breaks; empty: none.
func broken(u use) string {
	for _, r := range rules() {
		if !slices.ContainsFunc(r.imports, func(p string) bool { return below(u.imports, p) }) ||
			slices.ContainsFunc(r.by, func(p string) bool { return below(u.from, p) }) || r.tests && u.test {
			continue
		}
		if len(r.symbols) == 0 {
			return fmt.Sprintf("%s imports %s, which only %s may", u.file, u.imports, strings.Join(r.by, ", "))
		}
		for _, symbol := range u.symbols {
			if !slices.Contains(r.symbols, symbol) {
				return fmt.Sprintf("%s uses %s of %s, which only %s may", u.file, symbol, u.imports, strings.Join(r.by, ", "))
			}
		}
	}
	first, _, _ := strings.Cut(u.imports, "/")
	if below(u.from, "synchronizer/engine") && !u.test && strings.Contains(first, ".") &&
		!slices.ContainsFunc(engineImports(), func(p string) bool { return below(u.imports, p) }) {
		return fmt.Sprintf("%s imports %s, but the engine knows Kubernetes only", u.file, u.imports)
	}
	return ""
}

// below also takes the major version in a module's path for a folder.
func below(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// readUses parses one file of a folder of the project.
func readUses(folder, file string) ([]use, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	symbols := map[string][]string{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok {
				symbols[name.Name] = append(symbols[name.Name], selector.Sel.Name)
			}
		}
		return true
	})
	var uses []use
	for _, spec := range parsed.Imports {
		imports, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		u := use{from: folder, file: path.Join(folder, filepath.Base(file)), test: strings.HasSuffix(file, "_test.go"), imports: imports}
		u.symbols = symbols[localName(spec, imports)]
		if spec.Name != nil && spec.Name.Name == "." {
			u.symbols = []string{"everything"}
		}
		uses = append(uses, u)
	}
	return uses, nil
}

// localName is what the file calls the package: its own name for it, or the last part of the path
// that is not a major version.
func localName(spec *ast.ImportSpec, imports string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	name := path.Base(imports)
	if _, err := strconv.Atoi(strings.TrimPrefix(name, "v")); err == nil && name != imports {
		name = path.Base(path.Dir(imports))
	}
	return name
}

// goPackage is what "go list -json" says about a package.
type goPackage struct {
	ImportPath, Dir                                    string
	GoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
}

func (p goPackage) folder() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// files are paths of all Go files, also of those for other systems.
func (p goPackage) files() []string {
	var files []string
	for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
		files = append(files, filepath.Join(p.Dir, name))
	}
	return files
}

// goList lists the project's packages, also those that do not compile.
func goList(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json", "./...")
	cmd.Dir = ".."
	var problem bytes.Buffer
	cmd.Stderr = &problem
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, problem.String())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(answer)); ; {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
