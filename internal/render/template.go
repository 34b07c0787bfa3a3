package render

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"sealift.dev/internal/objects"
)

// patience is what one execution of templates may take. It cannot be interrupted: what
// goes beyond ends with ErrRunaway, and goes on until the process ends.
type patience struct {
	time   time.Duration
	memory uint64 // bytes on the heap, beyond those at its start
}

func defaultPatience() patience { return patience{time: time.Minute, memory: 1 << 30} }

// bounded runs f, and leaves it behind when patience ends.
func bounded(ctx context.Context, p patience, f func() (output, error)) (output, error) {
	type answer struct {
		output output
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		o, err := f()
		answers <- answer{o, err}
	}()
	watch := time.NewTicker(10 * time.Millisecond)
	defer watch.Stop()
	end := time.NewTimer(p.time)
	defer end.Stop()
	for before := heap(); ; {
		select {
		case a := <-answers:
			return a.output, a.err
		case <-ctx.Done():
			return output{}, ctx.Err()
		case <-end.C:
			return output{}, fmt.Errorf("the templates ran for more than %s: %w", p.time, ErrRunaway)
		case <-watch.C:
			if now := heap(); now > before+p.memory {
				return output{}, fmt.Errorf("the templates took more than %d bytes of memory: %w", p.memory, ErrRunaway)
			}
		}
	}
}

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// execute loads the chart and renders it at a time. It keeps nothing of one call for
// the next: Helm changes the chart while it renders.
func (c Chart) execute(s source, at moment) (o output, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the chart in %q: helm fails on it: %v", c.Folder, p)
		}
	}()
	loaded, err := c.load(s)
	if err != nil {
		return output{}, fmt.Errorf("the chart in %q: %s", c.Folder, brief(err))
	}
	values, err := c.renderValues(loaded, s.values)
	if err != nil {
		return output{}, fmt.Errorf("the chart in %q: %s", c.Folder, brief(err))
	}
	rendered, err := engine.Engine{CustomTemplateFuncs: functions(at)}.RenderWithContext(context.Background(), loaded, values)
	if err != nil {
		return output{}, fmt.Errorf("the chart in %q: %s", c.Folder, brief(err))
	}
	o.templates = map[string]string{}
	for name, content := range rendered {
		if path.Base(name) != "NOTES.txt" && strings.TrimSpace(content) != "" {
			o.templates[c.place(loaded, name)] = content
		}
	}
	if !c.SkipCRDs {
		for _, crd := range loaded.CRDObjects() {
			o.crds = append(o.crds, objects.File{Path: c.place(loaded, crd.Filename), Data: crd.File.Data})
		}
		slices.SortStableFunc(o.crds, func(a, b objects.File) int { return strings.Compare(a.Path, b.Path) })
	}
	return o, nil
}

// brief leaves out the middle of Helm's messages, which name every template on the way.
func brief(err error) string {
	message := err.Error()
	if len(message) <= 2*maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage]+" … "+message[len(message)-maxMessage:], "")
}

// place is a chart's file by its path in the repository, where Helm has the chart's
// name instead of its folder.
func (c Chart) place(loaded *chart.Chart, name string) string {
	return path.Join(c.Folder, strings.TrimPrefix(name, loaded.Name()+"/"))
}

func (c Chart) load(s source) (*chart.Chart, error) {
	var files []*archive.BufferedFile
	for _, f := range s.files {
		files = append(files, &archive.BufferedFile{Name: f.Path, Data: f.Data})
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, err
	}
	if loaded.Metadata.Type == "library" {
		return nil, errors.New("it is a library chart, which renders nothing by itself")
	}
	return loaded, checkDependencies(loaded, loaded.Name())
}

// checkDependencies wants every dependency in the charts folder, once, and sorts them:
// Helm has them in the order of a map, and of two that are called the same, the last
// one's templates stay.
func checkDependencies(c *chart.Chart, name string) error {
	there := slices.Clone(c.Dependencies())
	slices.SortFunc(there, compareCharts)
	for i := range there[min(1, len(there)):] {
		if compareCharts(there[i], there[i+1]) == 0 {
			return fmt.Errorf("the charts folder of %s holds %q in the version %q twice; hint: remove one of them", name, there[i].Name(), there[i].Metadata.Version)
		}
	}
	c.SetDependencies(there...)
	for _, wanted := range c.Metadata.Dependencies {
		if wanted == nil {
			return fmt.Errorf("a dependency of %s is empty", name)
		}
		if !slices.ContainsFunc(there, func(d *chart.Chart) bool {
			return d.Name() == wanted.Name && chartutil.IsCompatibleRange(wanted.Version, d.Metadata.Version)
		}) {
			return fmt.Errorf("the dependency %q (%s) of %s is not in its charts folder; hint: helm dependency build, and commit charts/", wanted.Name, wanted.Version, name)
		}
	}
	for _, d := range there {
		if err := checkDependencies(d, name+"/"+d.Name()); err != nil {
			return err
		}
	}
	return nil
}

func compareCharts(a, b *chart.Chart) int {
	return cmp.Or(strings.Compare(a.Name(), b.Name()), strings.Compare(a.Metadata.Version, b.Metadata.Version))
}

// renderValues is all that templates see.
func (c Chart) renderValues(loaded *chart.Chart, values map[string]any) (common.Values, error) {
	capabilities, err := c.capabilities()
	if err != nil {
		return nil, err
	}
	if want := loaded.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, capabilities.KubeVersion.String()) {
		return nil, fmt.Errorf("it is for Kubernetes %s, not %s; hint: say which one the cluster has with kubeVersion", want, capabilities.KubeVersion.String())
	}
	own := util.MergeTables(map[string]any{}, values) // the chart's processing writes into them
	if err := chartutil.ProcessDependencies(loaded, own); err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: c.Release, Namespace: c.Namespace, Revision: 1, IsInstall: true}
	if release.Namespace == "" {
		release.Namespace = "default"
	}
	top, err := util.ToRenderValuesWithSchemaValidation(loaded, own, release, capabilities, true)
	if err != nil {
		return nil, err
	}
	final, err := top.Table("Values")
	if err != nil {
		return nil, err
	}
	return top, checkSchemas(loaded, final)
}

func (c Chart) capabilities() (*common.Capabilities, error) {
	version := c.KubeVersion
	if version == "" {
		version = DefaultKubeVersion
	}
	parsed, err := common.ParseKubeVersion(version)
	if err != nil {
		return nil, fmt.Errorf("kubeVersion %q: %w", version, err)
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *parsed
	capabilities.APIVersions = append(slices.Clone(capabilities.APIVersions), c.APIVersions...)
	return capabilities, nil
}
