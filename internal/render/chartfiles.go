package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"
	"helm.sh/helm/v4/pkg/strvals"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
)

// maxNesting is how many archives may be in each other, and charts, too.
const maxNesting = 8

// archivePattern matches charts that are vendored as helm dependency build does.
var archivePattern = regexp.MustCompile(`^(?:charts/[^/]+/)*charts/[^/]+\.tgz$`)

// chart reads the files of the chart in folder, without those that .helmignore names,
// and with archives unpacked.
func (r *reader) chart(folder string) ([]objects.File, error) {
	paths, err := r.tree.Walk(folder)
	if err != nil {
		return nil, err
	}
	rules, err := r.ignored(folder, paths)
	if err != nil {
		return nil, err
	}
	var files []objects.File
	for _, p := range paths {
		if ignores(rules, relative(folder, p)) {
			continue
		}
		data, err := r.read(p)
		if err != nil {
			return nil, err
		}
		files = append(files, objects.File{Path: relative(folder, p), Data: data})
	}
	if files, err = r.unpacked(files, 0); err != nil {
		return nil, fmt.Errorf("the chart in %q: %w", folder, err)
	}
	return files, r.checkChart(folder, files)
}

func relative(folder, p string) string {
	if folder == "." {
		return p
	}
	return strings.TrimPrefix(p, folder+"/")
}

// ignored reads .helmignore, if there is one.
func (r *reader) ignored(folder string, paths []string) (*ignore.Rules, error) {
	rules := ignore.Empty()
	if file := path.Join(folder, ignore.HelmIgnore); slices.Contains(paths, file) {
		data, err := r.read(file)
		if err != nil {
			return nil, err
		}
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, fmt.Errorf("%q: %w", file, err)
		}
	}
	rules.AddDefaults()
	return rules, nil
}

// ignores says that rules name a file of the chart, or a folder that it is in.
func ignores(rules *ignore.Rules, p string) bool {
	for folder := path.Dir(p); folder != "."; folder = path.Dir(folder) {
		if rules.Ignore(folder, info{name: path.Base(folder), folder: true}) {
			return true
		}
	}
	return rules.Ignore(p, info{name: path.Base(p)})
}

// info is all that rules of .helmignore ask for.
type info struct {
	name   string
	folder bool
}

func (i info) Name() string       { return i.name }
func (i info) IsDir() bool        { return i.folder }
func (i info) Size() int64        { return 0 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.folder {
		return fs.ModeDir
	}
	return 0
}

// unpacked puts the files of vendored archives in their place: charts/a-1.tgz becomes
// charts/a-1.tgz.d/.
func (r *reader) unpacked(files []objects.File, depth int) ([]objects.File, error) {
	var all []objects.File
	for _, f := range files {
		if !archivePattern.MatchString(f.Path) {
			all = append(all, f)
			continue
		}
		if depth == maxNesting {
			return nil, fmt.Errorf("%q: more than %d archives in each other: %w", f.Path, maxNesting, objects.ErrLimit)
		}
		inside, err := Unpack(f.Data)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", f.Path, err)
		}
		for i := range inside {
			if r.total += int64(len(inside[i].Data)); r.total > r.limits.Total {
				return nil, fmt.Errorf("%q: rendering reads more than %d bytes: %w", f.Path, r.limits.Total, objects.ErrLimit)
			}
			_, below, _ := strings.Cut(inside[i].Path, "/")
			inside[i].Path = f.Path + ".d/" + below
		}
		if inside, err = r.unpacked(inside, depth+1); err != nil {
			return nil, err
		}
		all = append(all, inside...)
	}
	return all, nil
}

// Unpack reads the archive of a chart: all is in a folder that is called as the chart.
func Unpack(archive []byte) ([]objects.File, error) {
	limits := artifact.DefaultLimits()
	limits.Unpacked = objects.DefaultLimits().Total
	files, err := artifact.Unpack(bytes.NewReader(archive), limits)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !strings.Contains(f.Path, "/") {
			return nil, fmt.Errorf("%q is not in the chart's folder", f.Path)
		}
	}
	return files, nil
}

// checkChart reads what Helm will parse within the limits of objects.
func (r *reader) checkChart(folder string, files []objects.File) error {
	found := false
	for _, f := range files {
		found = found || f.Path == "Chart.yaml"
		if strings.Count(f.Path, "charts/") > maxNesting {
			return fmt.Errorf("%q: more than %d charts in each other: %w", f.Path, maxNesting, objects.ErrLimit)
		}
		switch path.Base(f.Path) {
		case "Chart.yaml", "Chart.lock", "values.yaml", "requirements.yaml", "requirements.lock":
			if strings.Contains(f.Path, "templates/") {
				continue
			}
			if _, err := objects.Documents(objects.File{Path: path.Join(folder, f.Path), Data: f.Data}, r.limits); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("there is no chart in %q: %w", folder, fs.ErrNotExist)
	}
	return nil
}

// values merges the files, and sets what is set.
func (c Chart) values() (map[string]any, error) {
	merged := map[string]any{}
	r := &reader{tree: c.ValuesFrom, limits: objects.DefaultLimits()}
	for _, p := range c.Values {
		clean := path.Clean(p)
		if p == "" || !fs.ValidPath(clean) {
			return nil, fmt.Errorf("the values %q are no file of the repository; hint: write the path from the root, without a slash at the start", p)
		}
		data, err := r.read(clean)
		if err != nil {
			return nil, fmt.Errorf("the values: %w", err)
		}
		documents, err := objects.Documents(objects.File{Path: clean + ".yaml", Data: data}, r.limits)
		if err != nil {
			return nil, err
		}
		if len(documents) > 1 {
			return nil, fmt.Errorf("%q holds %d YAML documents, and one is wanted", clean, len(documents))
		}
		values, err := loader.LoadValues(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", clean, err)
		}
		merged = loader.MergeMaps(merged, values)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		if err := set(merged, key, c.Set[key]); err != nil {
			return nil, fmt.Errorf("set: %q: %w", key, err)
		}
	}
	return merged, nil
}

// keyPattern matches a path of --set: a.b, a[0].b, a\.b.
var keyPattern = regexp.MustCompile(`^(?:\\.|[^\\=,\[\]{}]|\[[0-9]+\])+$`)

// set does as --set KEY=VALUE, but the value has the type that it has in YAML.
func set(values map[string]any, key string, value any) error {
	if !keyPattern.MatchString(key) {
		return errors.New("is no path; hint: write a.b, a[0].b, or a\\.b for a dot in a key")
	}
	if !exact(value) {
		return errors.New("holds a number of more than 2^53, which would be rounded; hint: quote it, or write it in a file of values")
	}
	if number, ok := value.(float64); ok && number == float64(int64(number)) {
		return strvals.ParseInto(key+"="+strconv.FormatInt(int64(number), 10), values)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return strvals.ParseJSON(key+"="+string(encoded), values)
}

// exact says that no number in value was rounded when it was read.
func exact(value any) bool {
	switch value := value.(type) {
	case float64:
		return math.Abs(value) < 1<<53
	case []any:
		return !slices.ContainsFunc(value, func(v any) bool { return !exact(v) })
	case map[string]any:
		for _, v := range value {
			if !exact(v) {
				return false
			}
		}
	}
	return true
}
