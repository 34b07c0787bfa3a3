package render

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"sealift.dev/internal/objects"
)

// maxVisits is how many kustomizations one rendering may go through, each counted
// as often as it is named: bases that name bases twice grow like powers of two.
const maxVisits = 1000

// maxKustomized is how many objects and patches one kustomization may be made of:
// the time that kustomize takes grows with the square of them, and it cannot be
// interrupted.
const maxKustomized = 3000

// maxCopied is how many bytes the copy operations of a patch may add to one object:
// copying a field into itself doubles it each time.
const maxCopied = 64 << 10

// build renders a kustomization. Kustomize sees only the files that gather has
// followed and checked, in a file system of its own.
func build(r *reader, folder string) ([]*unstructured.Unstructured, error) {
	g := gatherer{reader: r, files: filesys.MakeFsInMemory()}
	if err := g.kustomization(folder, nil); err != nil {
		return nil, err
	}
	built, err := kustomize(g.files, "/"+folder)
	if err != nil {
		return nil, fmt.Errorf("building the kustomization in %q: %w", folder, err)
	}
	stream, err := built.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("building the kustomization in %q: %w", folder, err)
	}
	return objects.Decode([]objects.File{{Path: folder + " (kustomized)", Data: stream}}, r.limits)
}

// kustomize makes an error of a panic, which a few odd inputs end in.
func kustomize(files filesys.FileSystem, folder string) (built resmap.ResMap, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kustomize fails on it: %v", p)
		}
	}()
	defer func(before int64) { jsonpatch.AccumulatedCopySizeLimit = before }(jsonpatch.AccumulatedCopySizeLimit)
	jsonpatch.AccumulatedCopySizeLimit = maxCopied
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	// The repository is the border, not the kustomization's own folder: nothing
	// else is in files.
	options.LoadRestrictions = types.LoadRestrictionsNone
	return krusty.MakeKustomizer(options).Run(files, folder)
}

func isKustomization(name string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), name)
}

// kustomizations lists a folder's kustomization files.
func (r *reader) kustomizations(folder string) ([]string, error) {
	var found []string
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		p := path.Join(folder, name)
		_, err := r.tree.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	if len(found) > 1 {
		return nil, fmt.Errorf("the folder %q holds two kustomizations: %q and %q", folder, found[0], found[1])
	}
	return found, nil
}

// gatherer follows kustomizations through a tree. It refuses what is not in the
// tree, and what would run a program, before kustomize has a chance to try.
type gatherer struct {
	*reader
	files  filesys.FileSystem
	visits int
	count  int // of objects and patches
}

// kustomization gathers what the one in folder needs; within are the folders that
// led here.
func (g *gatherer) kustomization(folder string, within []string) error {
	if g.visits++; g.visits > maxVisits {
		return fmt.Errorf("%q: rendering goes through more than %d kustomizations: %w", folder, maxVisits, objects.ErrLimit)
	}
	if slices.Contains(within, folder) {
		return fmt.Errorf("the kustomization in %q includes itself, through %s", folder, strings.Join(within, ", "))
	}
	names, err := g.kustomizations(folder)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%q: %w", folder, fs.ErrNotExist)
	}
	k, err := g.parse(names[0])
	if err != nil {
		return err
	}
	if err := g.inline(names[0], k); err != nil {
		return err
	}
	within = append(slices.Clone(within), folder)
	for _, e := range entries(k) {
		if err := g.entry(e, folder, within); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%q: %s: %q is not in the repository", names[0], e.field, e.path)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (g *gatherer) parse(file string) (types.Kustomization, error) {
	var k types.Kustomization
	data, err := g.add(file, true)
	if err != nil {
		return k, err
	}
	if err := k.Unmarshal(data); err != nil {
		return k, fmt.Errorf("%q: %w", file, err)
	}
	for _, refused := range []struct {
		field string
		used  bool
	}{
		{"helmCharts", len(k.HelmCharts) > 0}, {"helmChartInflationGenerator", len(k.HelmChartInflationGenerator) > 0},
		{"generators", len(k.Generators) > 0}, {"transformers", len(k.Transformers) > 0}, {"validators", len(k.Validators) > 0},
	} {
		if refused.used {
			return k, fmt.Errorf("%q: %s is not supported, because it may run programs or download", file, refused.field)
		}
	}
	return k, nil
}

// add reads a file and shows it to kustomize. Text is checked within the limits
// of objects, so that the errors name file and line.
func (g *gatherer) add(file string, text bool) ([]byte, error) {
	data, err := g.read(file)
	if err != nil {
		return nil, err
	}
	if text {
		if err := g.check(objects.File{Path: file, Data: data}); err != nil {
			return nil, err
		}
		kept, err := objects.KeepOrder(objects.File{Path: file, Data: data}, g.limits)
		if err != nil {
			return nil, err
		}
		data = kept.Data
	}
	if err := g.files.WriteFile("/"+file, data); err != nil {
		return nil, fmt.Errorf("%q: %w", file, err)
	}
	return data, nil
}

// inline checks and counts what a kustomization holds itself.
func (g *gatherer) inline(file string, k types.Kustomization) error {
	for _, text := range texts(k) {
		if err := g.check(objects.File{Path: file + ": " + text.field, Data: []byte(text.content)}); err != nil {
			return err
		}
	}
	return g.grow(file, len(k.ConfigMapGenerator)+len(k.SecretGenerator))
}

// check reads a text within the limits of objects, and counts what is in it.
func (g *gatherer) check(f objects.File) error {
	documents, err := objects.Documents(f, g.limits)
	if err != nil {
		return err
	}
	n := 0
	for _, d := range documents {
		n += count(d.JSON)
	}
	return g.grow(f.Path, n)
}

// count is how many objects a document holds: kustomize takes lists apart, and
// lists of lists, whatever their kind.
func count(document []byte) int {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if json.Unmarshal(document, &list) != nil || len(list.Items) == 0 {
		return 1
	}
	n := 0
	for _, item := range list.Items {
		n += count(item)
	}
	return n
}

func (g *gatherer) grow(file string, by int) error {
	if g.count += by; g.count > maxKustomized {
		return fmt.Errorf("%q: the kustomization is made of more than %d objects and patches: %w; hint: split the environment, or write it as plain YAML, which has no such limit",
			file, maxKustomized, objects.ErrLimit)
	}
	return nil
}

func (g *gatherer) entry(e entry, folder string, within []string) error {
	p, err := local(folder, e.path)
	if err != nil {
		return fmt.Errorf("the kustomization in %q: %s: %w", folder, e.field, err)
	}
	if e.holds != folders {
		data, err := g.add(p, e.holds == manifests || e.holds == document)
		if err == nil && e.holds == variables {
			err = checkLines(p, data)
		}
		if !errors.Is(err, fs.ErrNotExist) || e.holds != manifests {
			return err
		}
	}
	return g.kustomization(p, within)
}

// checkLines refuses lines at which kustomize stops reading, without a word.
func checkLines(file string, data []byte) error {
	for line := 1; len(data) > 0; line++ {
		var text []byte
		if text, data, _ = bytes.Cut(data, []byte("\n")); len(text)+1 >= bufio.MaxScanTokenSize {
			return fmt.Errorf("%q line %d has more than %d bytes: %w", file, line, bufio.MaxScanTokenSize-2, objects.ErrLimit)
		}
	}
	return nil
}
