package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRulesHold breaks each rule once, beside a twin that keeps it.
func TestRulesHold(t *testing.T) {
	const api = "sealift.dev/api/v1alpha1"
	for _, test := range []struct {
		name      string
		bad, good use
	}{
		{"publisher in automator", use{from: "automator", imports: "sealift.dev/publisher"}, use{from: "cmd/sealift", imports: "sealift.dev/publisher"}},
		{"automator below synchronizer", use{from: "synchronizer/controller", imports: "sealift.dev/automator"}, use{from: "automator", imports: "sealift.dev/automator/edit"}},
		{"synchronizer in publisher", use{from: "publisher", imports: "sealift.dev/synchronizer/engine"}, use{from: "synchronizer", imports: "sealift.dev/synchronizer/engine"}},
		{"a part by way of internal", use{from: "internal/git", imports: "sealift.dev/publisher"}, use{from: "publisher", imports: "sealift.dev/internal/git"}},
		{"a part in another's test", use{from: "automator", test: true, imports: "sealift.dev/publisher"}, use{from: "test", test: true, imports: "sealift.dev/publisher"}},
		{"cmd", use{from: "test/demo", imports: "sealift.dev/cmd/sealift"}, use{from: "cmd/sealift", imports: "sealift.dev/cmd/sealift/internal"}},
		{"test", use{from: "verify", imports: "sealift.dev/test/stage"}, use{from: "verify", test: true, imports: "sealift.dev/test/stage"}},
		{"custom resources", use{from: "cmd/sealift", imports: api, symbols: []string{"Delivery"}}, use{from: "cmd/sealift", imports: api, symbols: []string{"Config"}}},
		{"custom resources among others", use{from: "automator", imports: api, symbols: []string{"Select", "TrustPolicy"}}, use{from: "synchronizer/controller", imports: api, symbols: []string{"Select", "TrustPolicy"}}},
		{"controller-runtime", use{from: "synchronizer", imports: "sigs.k8s.io/controller-runtime/pkg/client"}, use{from: "synchronizer/controller", imports: "sigs.k8s.io/controller-runtime/pkg/client"}},
		{"oras", use{from: "verify", imports: "oras.land/oras-go/v2/registry"}, use{from: "artifact", imports: "oras.land/oras-go/v2/registry"}},
		{"go-containerregistry", use{from: "artifact", imports: "github.com/google/go-containerregistry/pkg/name"}, use{from: "artifact", test: true, imports: "github.com/google/go-containerregistry/pkg/registry"}},
		{"sigstore", use{from: "publisher", imports: "github.com/sigstore/cosign/v2/pkg/cosign"}, use{from: "publisher/signer", imports: "github.com/sigstore/cosign/v2/pkg/cosign"}},
		{"log", use{from: "artifact", imports: "log", symbols: []string{"Println"}}, use{from: "cmd/sealift", imports: "log", symbols: []string{"Println"}}},
		{"slog", use{from: "synchronizer", imports: "log/slog", symbols: []string{"Info"}}, use{from: "synchronizer", imports: "logistics"}},
		{"klog", use{from: "synchronizer/engine", imports: "k8s.io/klog/v2", symbols: []string{"Info"}}, use{from: "synchronizer/engine", imports: "k8s.io/klog/v2", symbols: []string{"NewContext"}}},
		{"engine knows OCI", use{from: "synchronizer/engine", imports: "github.com/opencontainers/go-digest"}, use{from: "synchronizer", imports: "github.com/opencontainers/go-digest"}},
		{"engine knows ours", use{from: "synchronizer/engine", imports: "sealift.dev/internal/objects"}, use{from: "synchronizer/engine", imports: "k8s.io/client-go/dynamic"}},
		{"engine knows the registry", use{from: "synchronizer/engine", imports: "sealift.dev/artifact"}, use{from: "synchronizer/engine", imports: "encoding/json"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if broken(test.bad) == "" {
				t.Errorf("%+v passes", test.bad)
			}
			if why := broken(test.good); why != "" {
				t.Errorf("%+v is refused: %s", test.good, why)
			}
		})
	}
}

func TestReadUses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.go")
	source := `package a
import (
	"fmt"
	. "sealift.dev/api/v1alpha1"
	other "k8s.io/klog/v2"
	"github.com/go-logr/logr"
	"example.com/mod/v2"
)
var _ = fmt.Sprint(other.Info, logr.Discard(), mod.Thing)
`
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	uses, err := readUses("automator", file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range uses {
		got = append(got, u.imports+":"+strings.Join(u.symbols, ","))
	}
	want := []string{"fmt:Sprint", "sealift.dev/api/v1alpha1:everything", "k8s.io/klog/v2:Info", "github.com/go-logr/logr:Discard", "example.com/mod/v2:Thing"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

const (
	longestFunction = 80  // lines, refused above
	longFile        = 350 // lines, listed above
)

func TestFunctionsAreShort(t *testing.T) {
	for _, p := range goList(t) {
		for _, file := range p.files() {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			long, lines, err := longFunctions(file, source)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range long {
				t.Errorf("%s: %s is longer than %d lines", file, name, longestFunction)
			}
			if lines > longFile {
				t.Logf("%s has %d lines", file, lines)
			}
		}
	}
}

// longFunctions returns the names of functions that are too long, and the file's length; of
// generated files, nothing.
func longFunctions(name string, source []byte) (long []string, lines int, err error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(parsed) {
		return nil, 0, err
	}
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if ok && files.Position(function.End()).Line-files.Position(function.Pos()).Line+1 > longestFunction {
			long = append(long, function.Name.Name)
		}
	}
	return long, files.Position(parsed.FileEnd).Line, nil
}

func TestLongFunctionsAreFound(t *testing.T) {
	function := func(name string, lines int) string {
		return "func " + name + "() {\n" + strings.Repeat("\n", lines-2) + "}\n"
	}
	source := "package a\n\n" + function("long", longestFunction+1) + function("short", longestFunction)
	long, _, err := longFunctions("a.go", []byte(source))
	if err != nil || !slices.Equal(long, []string{"long"}) {
		t.Errorf("found %q, %v, want long only", long, err)
	}
	generated := "// Code generated by nobody. DO NOT EDIT.\n\n" + source
	if long, _, err := longFunctions("a.go", []byte(generated)); err != nil || len(long) > 0 {
		t.Errorf("found %q, %v in a generated file", long, err)
	}
}
