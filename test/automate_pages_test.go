package test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// arrival is a page for people who come from another tool: each of its YAML blocks that begins
// with a comment is the file of that name.
type arrival struct {
	page string
	// more are files that the page does not show, by name.
	more map[string]string
	// writes has, for the tree without sealift.yaml where bare is set, and then for each block of
	// that name, what the dry run puts into files.
	writes [][]string
	bare   bool
}

func arrivals() []arrival {
	return []arrival{
		{page: "from-flux.md", bare: true, writes: [][]string{{"+      image: HOST/apps/shop:1.4.2 #"}, {"+      image: HOST/apps/shop:1.4.2 #"}}},
		{page: "from-argocd-image-updater.md", writes: [][]string{{"+  tag: 1.4.2"}, {"+  tag: 1.4.2", "+    digest: sha256:"}}},
		{page: "from-renovate.md", more: map[string]string{
			"build/Dockerfile":        "FROM registry.example.com/apps/shop:1.0.0\nRUN true\n",
			"charts/shop/values.yaml": "image:\n  repository: registry.example.com/apps/shop\n  tag: 1.0.0\n  digest: sha256:" + strings.Repeat("0", 64) + "\n",
			"terraform/main.tf":       "shop_tag = \"1.0.0\"\n",
		}, writes: [][]string{{}, {"+FROM HOST/apps/shop:1.4.2@sha256:", "+  tag: 1.4.2", "+  digest: sha256:", "+shop_tag = \"1.4.2\""}}},
	}
}

// TestAutomatePages plays the pages: the dry run says what they say.
func TestAutomatePages(t *testing.T) {
	t.Parallel()
	for _, m := range arrivals() {
		t.Run(m.page, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, yardOptions{})
			y.tag("shop", "1.0.0", "1.4.2", "1.5.0-rc.1", "2.0.0")
			y.tag("worker", "stable")
			configs, tree := y.blocks(m)
			if m.bare {
				configs = append([]string{""}, configs...)
			}
			if len(configs) != len(m.writes) {
				t.Fatalf("%d configurations, want %d", len(configs), len(m.writes))
			}
			y.commit("tree", tree)
			for i, config := range configs {
				if config != "" {
					y.commit("config", map[string]string{"sealift.yaml": config})
				}
				p := y.stays("--dry-run")
				if p.code != 0 {
					t.Errorf("exit %d: %s", p.code, p.problem)
				}
				for _, line := range m.writes[i] {
					if line = strings.ReplaceAll(line, "HOST", y.registry.Host); !strings.Contains(p.Diff, line) {
						t.Errorf("configuration %d: no line %q in:\n%s\n%s", i, line, p.Diff, p.out)
					}
				}
			}
		})
	}
}

// blocks are a page's files, with the yard's registry in them, and its configurations in order.
func (y *yard) blocks(m arrival) (configs []string, tree map[string]string) {
	y.t.Helper()
	content, err := os.ReadFile("../docs/" + m.page)
	must(y.t, err)
	tree = map[string]string{}
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(content), -1) {
		for document := range strings.SplitSeq(block[1], "\n---\n") {
			var any map[string]any
			if err := yaml.UnmarshalStrict([]byte(document), &any); err != nil {
				y.t.Errorf("%s: %v in:\n%s", m.page, err, document)
			}
		}
		first, _, _ := strings.Cut(block[1], "\n")
		switch file, named := strings.CutPrefix(first, "# "); {
		case file == "sealift.yaml":
			configs = append(configs, y.here(block[1]))
		case named:
			tree[file] = y.here(block[1])
		}
	}
	for file, text := range m.more {
		tree[file] = y.here(text)
	}
	return configs, tree
}

// here puts the yard's registry in the place of the one that pages name.
func (y *yard) here(text string) string {
	text = strings.ReplaceAll(text, `registry\.example\.com`, regexp.QuoteMeta(y.registry.Host))
	return strings.ReplaceAll(text, "registry.example.com", y.registry.Host)
}
