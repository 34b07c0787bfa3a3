package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
)

// hazard is a line of the table in docs/operations.md.
type hazard struct {
	what string
	held [][2]string // folder and test
}

// hazards reads the table of what goes wrong elsewhere.
func hazards(t *testing.T) []hazard {
	t.Helper()
	page, err := os.ReadFile("../docs/operations.md")
	must(t, err)
	_, table, found := strings.Cut(string(page), "\n## What goes wrong elsewhere\n")
	if !found {
		t.Fatal("docs/operations.md has no such table")
	}
	var all []hazard
	for _, line := range regexp.MustCompile(`(?m)^\| (.+?) \| (.+?) \|$`).FindAllStringSubmatch(table, -1) {
		if line[2] == "held by" {
			continue
		}
		h := hazard{what: line[1]}
		for group := range strings.SplitSeq(line[2], "; ") {
			folder, tests, _ := strings.Cut(group, " ")
			for name := range strings.SplitSeq(tests, ", ") {
				h.held = append(h.held, [2]string{strings.Trim(folder, "`"), name})
			}
		}
		all = append(all, h)
	}
	return all
}

// TestEveryHazardIsHeld: the tests that the table names exist.
func TestEveryHazardIsHeld(t *testing.T) {
	all := hazards(t)
	if len(all) < 19 {
		t.Errorf("the table has %d lines only", len(all))
	}
	for _, h := range all {
		for _, held := range h.held {
			if !hasTest(t, held[0], held[1]) {
				t.Errorf("%q should be held by %s in %s, which is not there", h.what, held[1], held[0])
			}
		}
	}
	if hasTest(t, "test", "TestNobodyWrote") {
		t.Error("a test that nobody wrote is there")
	}
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	must(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		must(t, err)
		for _, declaration := range parsed.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
				return true
			}
		}
	}
	return false
}

// TestPruneWaitsForHealth: what a release drops stays until the rest of it is healthy.
func TestPruneWaitsForHealth(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.deliver(w.source("tag: main", "  timeout: 2s\n  onFailure: Hold\n"))
	w.equals(w.publish(map[string]string{"deploy/old.yaml": configMap("old", "1"), "deploy/a.yaml": configMap("a", "1")}))
	w.publish(map[string]string{"deploy/old.yaml": "", "deploy/web.yaml": unschedulable("web", 1, "example.com/web:1")})
	w.refused("Unhealthy")
	if !w.exists("configmap", "old") || !w.exists("deployment", "web") {
		t.Error("the old object went before the new one was healthy")
	}
	w.equals(w.publish(map[string]string{"deploy/web.yaml": configMap("web", "1")}))
}

// TestEmptyReleaseDeletesNothing: a folder that is not there, one without manifests, and one
// whose manifests hold no objects are refused, and what runs stays.
func TestEmptyReleaseDeletesNothing(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	good := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(good)
	runs, err := artifact.NewRegistry(artifact.Options{PlainHTTP: true}).
		Manifest(t.Context(), artifact.Repository{Host: w.registry.Host, Path: "deploy/" + w.name}.At(digest.Digest(good.Digest)))
	must(t, err)
	uid := w.identity("configmap", "a")
	for name, layer := range map[string][]byte{
		"renamed": tarball(t, "production/a.yaml", configMap("a", "2")),
		"bare":    tarball(t, "prod/README.md", "nothing to apply"),
		"empty":   tarball(t, "prod/a.yaml", "---\n# nothing\n---\n"),
	} {
		forged := w.forge(forged{layer: layer}, runs.Annotations)
		w.until("the release refused that is "+name, func() bool {
			_, reason, message := w.status().ready()
			return reason == "EnvironmentNotFound" && strings.Contains(message, forged)
		})
		if w.identity("configmap", "a") != uid || w.value("a") != "1" {
			t.Errorf("%s: what runs was changed", name)
		}
		w.upload("manifests/main", ocispec.MediaTypeImageManifest, runs.Raw)
		w.delivered(good)
	}
}

// TestReadsOnlyWhatIsDelivered: of the kinds in releases, the synchronizer lists and watches
// labelled objects only, and of Secrets never a whole namespace.
func TestReadsOnlyWhatIsDelivered(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {key: dmFsdWU=}\n"
	w.deliver(w.source("tag: main", ""))
	w.equals(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/s.yaml": secret, "deploy/web.yaml": deployment("web", 1, "example.com/web:1")}, "--allow-secrets"))
	requests, err := w.cluster.Requests()
	must(t, err)
	selected := 0
	for _, r := range requests {
		own := strings.Contains(r.URI, "/namespaces/sealift-system/") // what Deliveries accepted
		if own || r.Verb != "list" && r.Verb != "watch" || !regexp.MustCompile(`/(configmaps|secrets|deployments|services|pods)\b`).MatchString(r.URI) {
			continue
		}
		asked, err := url.Parse(r.URI)
		must(t, err)
		if query := asked.Query(); !strings.HasPrefix(query.Get("labelSelector"), "sealift.dev/delivery") && !strings.HasPrefix(query.Get("fieldSelector"), "metadata.name=") {
			t.Errorf("%s %s", r.Verb, r.URI)
		}
		selected++
	}
	if selected < 3 {
		t.Errorf("%d lists and watches were seen: the test proves nothing", selected)
	}
}
