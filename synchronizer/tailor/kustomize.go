package tailor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	k8syaml "sigs.k8s.io/yaml"

	"sealift.dev/internal/objects"
)

// kustomize patches and moves objs, with the result that kustomize has for all of them
// at once, in batches: its time grows with the square of them, and it can neither be
// interrupted nor work on two sets. It sees nothing but the objects: no files, no
// network.
func (t *Tailor) kustomize(ctx context.Context, objs []*unstructured.Unstructured, o Options) ([]*unstructured.Unstructured, error) {
	patches, err := readPatches(o.Patches)
	if err != nil {
		return nil, err
	}
	batches, err := divide(objs, patches, o.TargetNamespace)
	if err != nil {
		return nil, err
	}
	made := slices.Clone(objs)
	size := int64(0)
	for _, b := range batches {
		built, err := t.batch(ctx, b, patches, o.TargetNamespace)
		if err != nil {
			return nil, explained(err, b.all())
		}
		if size += built.size; size > objects.DefaultLimits().Total {
			return nil, fmt.Errorf("the patches make more than %d bytes of the objects: %w", objects.DefaultLimits().Total, objects.ErrLimit)
		}
		for i, at := range b.places {
			if made[at] = nil; i < len(built.objects) {
				made[at] = built.objects[i]
			}
		}
	}
	made = slices.DeleteFunc(made, func(u *unstructured.Unstructured) bool { return u == nil })
	if o.TargetNamespace != "" {
		follow(made, objs, o.TargetNamespace)
	}
	return made, objects.Distinct(made)
}

// built is what kustomize made of the members of a batch; deleted ones are missing.
type built struct {
	objects []*unstructured.Unstructured
	size    int64 // as YAML, companions included
}

func (t *Tailor) batch(ctx context.Context, b batch, patches []patch, namespace string) (built, error) {
	made, size, err := t.build(ctx, b.all(), b.picked(patches), namespace)
	if err != nil || len(b.companions) == 0 {
		return built{made, size}, err
	}
	left := len(b.companions)
	if len(made) < len(b.members)+left { // which of them were deleted?
		alone, _, err := t.build(ctx, b.companions, b.pickedForCompanions(patches), namespace)
		if err != nil {
			return built{}, err
		}
		left = len(alone)
	}
	return built{made[:len(made)-left], size}, nil
}

func (t *Tailor) build(ctx context.Context, objs []*unstructured.Unstructured, patches []types.Patch, namespace string) ([]*unstructured.Unstructured, int64, error) {
	const resources = "objects.yaml"
	stream, err := objects.Encode(objs)
	if err != nil {
		return nil, 0, err
	}
	k := types.Kustomization{Resources: []string{resources}, Namespace: namespace, Patches: patches}
	written, err := k8syaml.Marshal(k)
	if err != nil {
		return nil, 0, err
	}
	files := filesys.MakeFsInMemory()
	for path, data := range map[string][]byte{"/kustomization.yaml": written, "/" + resources: stream} {
		if err := files.WriteFile(path, data); err != nil {
			return nil, 0, err
		}
	}
	data, err := t.run(ctx, files)
	if err != nil {
		return nil, 0, err
	}
	made, err := objects.Decode([]objects.File{{Path: "patched.yaml", Data: data}}, objects.DefaultLimits())
	return made, int64(len(data)), err
}

// run waits for its turn: kustomize keeps what it knows of kinds for all of a process.
func (t *Tailor) run(ctx context.Context, files filesys.FileSystem) ([]byte, error) {
	t.kustomizing.Lock()
	defer t.kustomizing.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	built, err := kustomized(files)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "trouble configuring builtin PatchTransformer with config: ", ""))
	}
	return built.AsYaml()
}

// kustomized makes an error of a panic, which a few odd inputs end in.
func kustomized(files filesys.FileSystem) (built resmap.ResMap, err error) {
	defer func() {
		if p := recover(); p != nil {
			// What it says may hold what was decrypted.
			err = errors.New("kustomize gives up on what the patches make of the objects; hint: look for one that replaces metadata")
		}
	}()
	return krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, "/") // which keeps the order
}
