package automator

import (
	"fmt"
	"strings"
	"testing"
)

// fluxTree is the repository of somebody who uses Flux, without a sealift.yaml.
func fluxTree(image string) map[string]string {
	return map[string]string{
		"clusters/prod/shop/repository.yaml": `apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: shop, namespace: flux-system}
spec: {image: ` + image + `, interval: 5m}
`,
		"clusters/prod/shop/policy.yaml": `apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: shop, namespace: flux-system}
spec:
  imageRepositoryRef: {name: shop}
  policy: {semver: {range: 1.x}}
`,
		"clusters/prod/automation.yaml": `apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {name: all, namespace: flux-system}
spec:
  sourceRef: {kind: GitRepository, name: flux-system}
  interval: 30m
  git:
    checkout: {ref: {branch: main}}
    commit:
      author: {name: fluxbot, email: flux@example.com}
      messageTemplate: |
        Bump
        {{ range $path, $objects := .Changed.FileChanges }}{{ range $objects }}{{ range . }}
        {{ $path }} {{ .OldValue }} {{ .NewValue }} {{ .Setter }}{{ end }}{{ end }}{{ end }}
  update: {path: ./clusters/prod, strategy: Setters}
`,
		"clusters/prod/shop/web.yaml": "image: " + image + ":1.0.0 # {\"$imagepolicy\": \"flux-system:shop\"}\n",
		"clusters/test/web.yaml":      "image: " + image + ":1.0.0 # {\"$imagepolicy\": \"flux-system:shop\"}\n",
	}
}

func TestFluxTree(t *testing.T) {
	image := newRegistry(t, "1.0.0", "1.2.0", "2.0.0")
	git := newGitServer(t, fluxTree(image), nil)
	opts := git.options()
	opts.Branch = ""
	result := mustRun(t, opts)
	if !result.Pushed || len(result.Changes) != 1 || result.Changes[0].File != "clusters/prod/shop/web.yaml" || result.Images[0].Source != "clusters/prod/shop/policy.yaml" {
		t.Fatalf("%+v", result)
	}
	got := git.git(git.bare, "log", "-1", "--format=%an <%ae>%n%B", branchMain)
	for _, want := range []string{
		"fluxbot <flux@example.com>\nBump\n", "\nclusters/prod/shop/web.yaml " + image + ":1.0.0 " + image + ":1.2.0 flux-system:shop\n",
		"\nSealift-Image: flux-system:shop 1.2.0\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("message %q lacks %q", got, want)
		}
	}
}

// TestFluxBesideOurs: sealift.yaml wins where both name an image, and may switch Flux's off.
func TestFluxBesideOurs(t *testing.T) {
	image := newRegistry(t, "1.0.0", "1.2.0", "2.0.0")
	files := fluxTree(image)
	files["sealift.yaml"] = strings.Replace(configFor(image, "2.x"), "name: shop", "{name: shop, namespace: flux-system", 1)
	files["sealift.yaml"] = strings.NewReplacer("- {name: shop, namespace: flux-system", "- name: shop\n      namespace: flux-system").Replace(files["sealift.yaml"])
	result := mustRun(t, newGitServer(t, files, nil).options())
	if len(result.Changes) != 2 || result.Images[0].Tag != "2.0.0" || len(result.Images) != 1 {
		t.Errorf("ours: %+v", result)
	}
	files["sealift.yaml"] = strings.Replace(configFor(image, "2.x"), "automate:", "automate:\n  flux: Ignore", 1)
	result = mustRun(t, newGitServer(t, files, nil).options())
	if result.Pushed || len(result.Images) != 1 || result.Images[0].Source != "sealift.yaml" {
		t.Errorf("without Flux's: %+v", result)
	}
}

func TestPreview(t *testing.T) {
	image := newRegistry(t, "1.0.0", "1.2.0")
	git := newGitServer(t, fluxTree(image), nil)
	work := t.TempDir()
	git.git(work, "clone", "-q", git.bare, ".")
	git.git(work, "checkout", "-q", "-b", "trial")
	result, err := Preview(t.Context(), work, git.options())
	if err != nil || result.Pushed || result.Branch != "trial" {
		t.Fatalf("%+v, %v", result, err)
	}
	// The automation is for another branch, so nothing is written here.
	if result.Diff != "" || !strings.Contains(fmt.Sprint(result.Notes), "is for branch main") {
		t.Errorf("on another branch: %+v", result)
	}
	git.git(work, "checkout", "-q", branchMain)
	result, err = Preview(t.Context(), work, git.options())
	if err != nil || !strings.Contains(result.Diff, "+image: "+image+":1.2.0 #") || strings.Contains(result.Diff, "clusters/test") {
		t.Errorf("%+v, %v", result, err)
	}
	if got := git.git(work, "status", "--porcelain"); got != "" {
		t.Errorf("written: %s", got)
	}
}
