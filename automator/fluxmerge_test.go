package automator

import (
	"strings"
	"testing"
)

// TestNamespacesOfKustomizationsInEveryPass: a kustomization holds no marker and no document of
// Flux, and counts in each pass nevertheless.
func TestNamespacesOfKustomizationsInEveryPass(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	documents := `apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: shop}
spec: {image: ` + image + `}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: shop}
spec: {imageRepositoryRef: {name: shop}, policy: {semver: {range: 1.x}}}
`
	git := newGitServer(t, map[string]string{
		"kustomization.yaml": "namespace: web\nresources: [flux.yaml, shop.yaml]\n", "flux.yaml": documents,
		"shop.yaml": strings.ReplaceAll(deployment(image+":1.1.0"), "shop:shop", "web:shop"),
	}, nil)
	a, err := New(git.options())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, want := range []string{"1.2.0", "1.3.0"} {
		result, err := a.Run(t.Context())
		if err != nil || !strings.Contains(git.show("shop.yaml"), image+":"+want) {
			t.Fatalf("%s: %+v, %v", want, result, err)
		}
		addTags(t, image, "1.3.0")
	}
}
