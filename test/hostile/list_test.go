package hostile

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// checkNames says which vectors of a section are not run, and which are not listed.
func checkNames(t *testing.T, section string, run []string) {
	t.Helper()
	listed := here(section)
	for _, name := range listed {
		if !slices.Contains(run, name) {
			t.Errorf("nothing runs %q", name)
		}
	}
	for i, name := range run {
		if !slices.Contains(listed, name) || slices.Contains(run[:i], name) {
			t.Errorf("%q is not in the list of %s, or runs twice", name, section)
		}
	}
}

// TestEveryVectorIsHeld: the test that a vector names exists, and has the vector in
// its table.
func TestEveryVectorIsHeld(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range Vectors() {
		if seen[v.Section+v.Name] {
			t.Errorf("%s: %q is listed twice", v.Section, v.Name)
		}
		seen[v.Section+v.Name] = true
		folder, test, found := strings.Cut(v.Held, " ")
		name, entry, _ := strings.Cut(test, "/")
		texts, err := textsOf(filepath.Join("../..", folder), name)
		if err != nil {
			t.Fatal(err)
		}
		if !found || texts == nil || entry != "" && !slices.Contains(texts, entry) {
			t.Errorf("%s: %q should be held by %q, which is not there", v.Section, v.Name, v.Held)
		}
	}
	if texts, err := textsOf("../../verify", "TestNobodyWrote"); err != nil || texts != nil {
		t.Errorf("a test that nobody wrote: %v, %v", texts, err)
	}
}

// textsOf are the string literals of a test function in a folder; nil: there is none.
func textsOf(folder, test string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, declaration := range parsed.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == test {
				return literals(f), nil
			}
		}
	}
	return nil, nil
}

func literals(f *ast.FuncDecl) []string {
	texts := []string{}
	ast.Inspect(f, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, _ := strconv.Unquote(literal.Value)
			texts = append(texts, text)
		}
		return true
	})
	return texts
}
