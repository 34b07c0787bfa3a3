package publisher

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/internal/render"
)

// rendered is the objects of each environment.
type rendered struct {
	objects map[string][]*unstructured.Unstructured
	charts  map[string]string // those from a registry, HOST/PATH@DIGEST
}

func (r rendered) names() []string { return slices.Sorted(maps.Keys(r.objects)) }

// renderAll renders every environment. It must not be called twice at once.
func renderAll(ctx context.Context, o Options, tree render.Tree) (rendered, error) {
	r := rendered{objects: map[string][]*unstructured.Unstructured{}, charts: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(o.Environments)) {
		if err := ctx.Err(); err != nil {
			return rendered{}, err
		}
		objs, err := r.render(ctx, o, tree, name)
		if err == nil && !o.AllowSecrets {
			err = checkSecrets(objs)
		}
		if err != nil {
			return rendered{}, fmt.Errorf("rendering the environment %s: %w", name, err)
		}
		r.objects[name] = objs
	}
	return r, nil
}

func (r rendered) render(ctx context.Context, o Options, tree render.Tree, name string) ([]*unstructured.Unstructured, error) {
	e := o.Environments[name]
	if e.Helm == nil {
		return render.Folder(tree, e.Folder)
	}
	return r.chart(ctx, o, tree, name, *e.Helm)
}

func (r rendered) chart(ctx context.Context, o Options, tree render.Tree, name string, h v1alpha1.Helm) ([]*unstructured.Unstructured, error) {
	c := render.Chart{
		Files: tree, Folder: h.Chart,
		Release: h.Release, Namespace: h.Namespace,
		ValuesFrom: tree, Values: h.Values, Set: h.Set,
		SkipCRDs: h.IncludeCRDs != nil && !*h.IncludeCRDs, NoHooks: h.NoHooks,
		KubeVersion: h.KubeVersion, APIVersions: h.APIVersions,
	}
	if c.Release == "" {
		c.Release = name
	}
	if strings.HasPrefix(h.Chart, artifact.Scheme) {
		ref, files, err := fetchChart(ctx, o.Registry, h.Chart)
		if err != nil {
			return nil, err
		}
		c.Files, c.Folder = render.Memory(files), folderOf(files)
		r.charts[name] = ref.String()
	}
	return c.Render(ctx)
}

// pack gives the images of a draft their digests, and packs it.
func (b *batch) pack(ctx context.Context, d draft) (*artifact.Package, error) {
	facts := artifact.Facts{Charts: d.rendered.charts}
	if d.o.Images != nil {
		d.o.Progress("resolving images")
		before, err := d.pinnedBefore(ctx)
		if err != nil {
			return nil, err
		}
		if facts.Images, err = b.pins.pin(ctx, d.o, d.rendered, before); err != nil {
			return nil, err
		}
	}
	return artifact.PackWith(d.statement, d.rendered.objects, facts)
}

// lastApplied is where kubectl apply keeps the object as it was applied, so that a
// Secret that was exported and then encrypted may still be readable there.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// checkSecrets refuses Secrets that everybody who reads the registry could read.
func checkSecrets(objs []*unstructured.Unstructured) error {
	for _, u := range objs {
		if u.GroupVersionKind().Group != "" || u.GetKind() != "Secret" {
			continue
		}
		if applied := u.GetAnnotations()[lastApplied]; applied != "" && !isCiphertext(applied) {
			return fmt.Errorf("%s holds a copy of itself in the annotation %s, which is not encrypted; hint: remove the annotation, and change what was secret", objects.Name(u), lastApplied)
		}
		if !isEncrypted(u) {
			return fmt.Errorf("%s is not encrypted, and would be readable for everyone who can read the registry; hint: keep it out of Git, or allow it with --allow-secrets", objects.Name(u))
		}
	}
	return nil
}

// isEncrypted says that there is nothing to read in a Secret: SOPS has encrypted
// each value, or there are none.
func isEncrypted(secret *unstructured.Unstructured) bool {
	values := 0
	for _, field := range []string{"data", "stringData"} {
		content, there := secret.Object[field]
		if !there || content == nil {
			continue
		}
		entries, ok := content.(map[string]any)
		if !ok {
			return false
		}
		for _, value := range entries {
			text, ok := value.(string)
			if !ok || text != "" && !isCiphertext(text) {
				return false
			}
			values++
		}
	}
	_, sops := secret.Object["sops"].(map[string]any)
	return values == 0 || sops
}

// isCiphertext knows a value that SOPS has encrypted.
func isCiphertext(text string) bool { return ciphertext.MatchString(text) }

var ciphertext = regexp.MustCompile(`^ENC\[AES256_GCM,data:[A-Za-z0-9+/=]+,iv:[A-Za-z0-9+/=]+,tag:[A-Za-z0-9+/=]+,type:[a-z]+\]$`)
