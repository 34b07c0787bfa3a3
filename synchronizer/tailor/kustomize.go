package tailor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"
	k8syaml "sigs.k8s.io/yaml"

	"sealift.dev/internal/objects"
)

const (
	// maxKustomized bounds the objects that kustomize works on: its time grows with
	// more than the square of them (1,000 take tens of seconds), and it cannot be
	// interrupted while it keeps others waiting.
	maxKustomized = 500
	// maxPatchings bounds objects times patches, for the same reason.
	maxPatchings = 5000
	// maxWeight bounds the values in patches times the objects that they are for: each
	// takes a tenth of a millisecond.
	maxWeight = 50_000
	// maxCopies bounds the copy operations of all patches: each may double an object.
	maxCopies = 4
)

// kustomize patches and moves objs. It sees nothing but them: no files, no network.
func (t *Tailor) kustomize(ctx context.Context, objs []*unstructured.Unstructured, o Options) ([]*unstructured.Unstructured, error) {
	if n := len(objs); n > maxKustomized || n*len(o.Patches) > maxPatchings {
		return nil, fmt.Errorf("%d objects and %d patches: %w: at most %d objects, and %d objects times patches", n, len(o.Patches), objects.ErrLimit, maxKustomized, maxPatchings)
	}
	if err := checkPatches(o.Patches, objs); err != nil {
		return nil, err
	}
	stream, err := objects.Encode(objs)
	if err != nil {
		return nil, err
	}
	built, err := t.build(ctx, stream, o)
	if err != nil {
		return nil, err
	}
	moved, err := objects.Decode([]objects.File{{Path: "patched.yaml", Data: built}}, objects.DefaultLimits())
	if err == nil && o.TargetNamespace != "" {
		follow(moved, objs, o.TargetNamespace)
	}
	return moved, err
}

func (t *Tailor) build(ctx context.Context, stream []byte, o Options) ([]byte, error) {
	const resources = "objects.yaml"
	k := types.Kustomization{Resources: []string{resources}, Namespace: o.TargetNamespace}
	for _, p := range o.Patches {
		k.Patches = append(k.Patches, types.Patch{Patch: p.Patch, Target: selector(p.Target)})
	}
	written, err := k8syaml.Marshal(k)
	if err != nil {
		return nil, err
	}
	files := filesys.MakeFsInMemory()
	for path, data := range map[string][]byte{"/kustomization.yaml": written, "/" + resources: stream} {
		if err := files.WriteFile(path, data); err != nil {
			return nil, err
		}
	}
	t.kustomizing.Lock()
	defer t.kustomizing.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	built, err := run(files)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "trouble configuring builtin PatchTransformer with config: ", ""))
	}
	return built.AsYaml()
}

// run makes an error of a panic, which a few odd inputs end in.
func run(files filesys.FileSystem) (built resmap.ResMap, err error) {
	defer func() {
		if p := recover(); p != nil {
			// What it says may hold what was decrypted.
			err = errors.New("kustomize gives up on what the patches make of the objects; hint: look for one that replaces metadata")
		}
	}()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	return krusty.MakeKustomizer(options).Run(files, "/")
}

func selector(t *Target) *types.Selector {
	if t == nil {
		return nil
	}
	return &types.Selector{
		ResId:              resid.NewResIdWithNamespace(resid.NewGvk(t.Group, t.Version, t.Kind), t.Name, t.Namespace),
		LabelSelector:      t.LabelSelector,
		AnnotationSelector: t.AnnotationSelector,
	}
}

// checkPatches reads patches within the limits of objects, before kustomize does.
func checkPatches(patches []Patch, objs []*unstructured.Unstructured) error {
	copies, weight := 0, 0
	for i, p := range patches {
		documents, err := objects.Documents(objects.File{Path: fmt.Sprintf("patches[%d]", i), Data: []byte(p.Patch)}, objects.DefaultLimits())
		if err != nil {
			return err
		}
		for _, d := range documents {
			var whole any
			if err := json.Unmarshal(d.JSON, &whole); err != nil {
				return fmt.Errorf("patches[%d]: %w", i, err)
			}
			if weight += values(whole) * chosen(p.Target, objs); weight > maxWeight {
				return fmt.Errorf("patches[%d]: %w: values in patches times the objects that they are for are at most %d; hint: name the object in its target", i, objects.ErrLimit, maxWeight)
			}
			var operations []struct {
				Op string `json:"op"`
			}
			if bytes.HasPrefix(d.JSON, []byte("[")) && json.Unmarshal(d.JSON, &operations) != nil {
				return fmt.Errorf("patches[%d] is neither an object nor a list of operations", i)
			}
			for _, o := range operations {
				if o.Op == "copy" {
					copies++
				}
			}
		}
		if operates := len(documents) == 1 && bytes.HasPrefix(documents[0].JSON, []byte("[")); operates && p.Target == nil {
			return fmt.Errorf("patches[%d] is a list of operations, and has no target", i)
		}
	}
	if copies > maxCopies {
		return fmt.Errorf("the patches copy more than %d times: %w", maxCopies, objects.ErrLimit)
	}
	return nil
}

// values counts the values in v that are no lists and no objects.
func values(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		for _, child := range v {
			n += values(child)
		}
	case []any:
		for _, child := range v {
			n += values(child)
		}
	default:
		n = 1
	}
	return n
}

// chosen is how many of objs a target selects at most; none selects one, by its name.
func chosen(t *Target, objs []*unstructured.Unstructured) int {
	if t == nil {
		return 1
	}
	selects, err := types.NewSelectorRegex(selector(t))
	if err != nil {
		return len(objs) // kustomize says what is wrong with it
	}
	n := 0
	for _, u := range objs {
		gvk := u.GroupVersionKind()
		if selects.MatchGvk(resid.NewGvk(gvk.Group, gvk.Version, gvk.Kind)) && selects.MatchName(u.GetName()) {
			n++
		}
	}
	return n
}
