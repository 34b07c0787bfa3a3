package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
	"sealift.dev/internal/text"
)

// Chart is a Helm chart with what it is rendered with, as helm template has it. The
// zero value of a field is Helm's default, but for KubeVersion.
type Chart struct {
	Files  Tree   // where the chart is
	Folder string // of the chart in Files

	Release     string // .Release.Name; needed
	Namespace   string // .Release.Namespace; empty: default
	ValuesFrom  Tree   // where the files of Values are
	Values      []string
	Set         map[string]any // by path, as --set has it
	SkipCRDs    bool
	NoHooks     bool   // leave out hooks; otherwise, those that are not for tests are errors
	KubeVersion string // empty: DefaultKubeVersion
	APIVersions []string
}

// DefaultKubeVersion is what charts are told of the cluster, which nobody asks.
const DefaultKubeVersion = "1.36.0"

// Render renders the chart: its custom resource definitions, then its templates.
// Charts that it depends on have to be in its charts folder. Nothing is fetched or
// looked up. A chart that renders differently a second time is refused, by template
// and object.
func (c Chart) Render(ctx context.Context) ([]*unstructured.Unstructured, error) {
	return c.render(ctx, defaultPatience())
}

func (c Chart) render(ctx context.Context, p patience) ([]*unstructured.Unstructured, error) {
	source, err := c.read()
	if err != nil {
		return nil, err
	}
	first, err := bounded(ctx, p, func() (output, error) { return c.execute(source, early) })
	if err != nil {
		return nil, err
	}
	second, err := bounded(ctx, p, func() (output, error) { return c.execute(source, late) })
	if err != nil {
		return nil, err
	}
	if err := compare(first, second); err != nil {
		return nil, err
	}
	files := first.files()
	objs, err := objects.Decode(files, objects.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("the chart in %q: %w", c.Folder, err)
	}
	if objs, err = c.withoutHooks(objs, files); err != nil {
		return nil, err
	}
	if len(objs) == 0 {
		return nil, fmt.Errorf("the chart in %q renders no objects", c.Folder)
	}
	return objs, nil
}

// output is what a chart was rendered to.
type output struct {
	crds      []objects.File
	templates map[string]string // by the template's path
}

// files are in order: definitions first, then templates by their paths.
func (o output) files() []objects.File {
	files := slices.Clone(o.crds)
	for _, name := range slices.Sorted(maps.Keys(o.templates)) {
		files = append(files, objects.File{Path: name, Data: []byte(o.templates[name])})
	}
	return files
}

// compare refuses what is rendered differently each time, as random passwords are.
func compare(first, second output) error {
	for _, name := range slices.Sorted(maps.Keys(first.templates)) {
		if first.templates[name] == second.templates[name] {
			continue
		}
		what := differing(objects.File{Path: name, Data: []byte(first.templates[name])}, objects.File{Path: name, Data: []byte(second.templates[name])})
		return fmt.Errorf("the template %q renders %s differently each time, and a release is the same whoever publishes it; hint: set the value that it makes up (by randAlphaNum, genCA, now or the like)", name, what)
	}
	return nil
}

// differing names the first object that differs.
func differing(a, b objects.File) string {
	ours, err := objects.Decode([]objects.File{a}, objects.DefaultLimits())
	theirs, other := objects.Decode([]objects.File{b}, objects.DefaultLimits())
	if err != nil || other != nil {
		return "something"
	}
	for i, u := range ours {
		if i == len(theirs) {
			break
		}
		one, err := objects.Encode([]*unstructured.Unstructured{u})
		two, other := objects.Encode([]*unstructured.Unstructured{theirs[i]})
		if err != nil || other != nil || string(one) != string(two) {
			return text.Line(objects.Name(u), maxName)
		}
	}
	return "something"
}

// maxName and maxMessage bound in messages what a chart's author wrote.
const (
	maxName    = 300
	maxMessage = 1000
)

const hookAnnotation = "helm.sh/hook"

// withoutHooks drops tests, which helm install does not run either. Other hooks are
// for Helm to run at their time, and nobody would.
func (c Chart) withoutHooks(objs []*unstructured.Unstructured, files []objects.File) ([]*unstructured.Unstructured, error) {
	var kept []*unstructured.Unstructured
	for _, u := range objs {
		hook, isHook := u.GetAnnotations()[hookAnnotation]
		switch {
		case !isHook:
			kept = append(kept, u)
		case c.NoHooks || isTest(hook):
		default:
			return nil, fmt.Errorf("%q: %s is a hook (%s), which nothing would run; hint: noHooks: true leaves hooks out, or disable it by the chart's values",
				origin(u, files), text.Line(objects.Name(u), maxName), text.Line(hook, maxName))
		}
	}
	return kept, nil
}

func isTest(hook string) bool {
	for _, event := range strings.Split(hook, ",") {
		switch strings.TrimSpace(event) {
		case "test", "test-success", "test-failure":
		default:
			return false
		}
	}
	return true
}

// origin is the file that an object is in.
func origin(u *unstructured.Unstructured, files []objects.File) string {
	for _, f := range files {
		objs, err := objects.Decode([]objects.File{f}, objects.DefaultLimits())
		if err == nil && slices.ContainsFunc(objs, func(o *unstructured.Unstructured) bool {
			return objects.Name(o) == objects.Name(u) && o.GetAPIVersion() == u.GetAPIVersion()
		}) {
			return f.Path
		}
	}
	return ""
}

// source is the files of a chart, relative to its folder, and the values it gets.
type source struct {
	files  []objects.File
	values map[string]any
}

func (c Chart) read() (source, error) {
	folder := path.Clean(c.Folder)
	if c.Folder == "" || !fs.ValidPath(folder) {
		return source{}, fmt.Errorf("%q is no folder of the repository; hint: write the chart's path from the root, without a slash at the start", c.Folder)
	}
	r := &reader{tree: c.Files, limits: objects.DefaultLimits()}
	files, err := r.chart(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return source{}, fmt.Errorf("there is no chart in %q: %w", folder, err)
	}
	if err != nil {
		return source{}, err
	}
	values, err := c.values()
	if err != nil {
		return source{}, err
	}
	return source{files: files, values: values}, nil
}
