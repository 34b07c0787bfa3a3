package automator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/edit"
	"sealift.dev/automator/flux"
	"sealift.dev/automator/hold"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// Limits of what is read from a commit.
const (
	maxMarkedBytes = 64 << 20 // of all files with places together
	maxIndexed     = 1 << 20  // blobs that are known to hold nothing of interest
)

var errNoConfig = fmt.Errorf("there is no %s at the root, and there are no Flux ImagePolicy documents; hint: commit a %[1]s with an automate: part", v1alpha1.ConfigFile)

// reading is all that the files of one commit say.
type reading struct {
	tip      string
	settings settings
	files    map[string]*edit.File // by path; those with places
	paths    []string              // of files, sorted
	holds    hold.File
	trust    map[string][]verify.NamedPolicy // by path
	notes    []Note
}

// readTree reads what the files of t's commit say. Nothing is read if the commit is that of
// the last pass, and no content twice.
func (a *Automator) readTree(ctx context.Context, t *turn) error {
	if a.reading == nil || a.reading.tip != t.tip {
		fresh, err := a.readFiles(ctx, t)
		if err != nil {
			return err
		}
		a.reading = fresh
	}
	t.reading, t.settings = a.reading, a.reading.settings
	t.notes = slices.Clone(a.reading.notes)
	if named := t.settings.branch; a.opts.Branch == "" && named != "" && named != t.branch {
		a.named = "" // it says another branch now: the next pass looks anew
	}
	return nil
}

// listed is a file that may matter, by its name.
type listed struct{ path, blob, odd string }

func (a *Automator) readFiles(ctx context.Context, t *turn) (*reading, error) {
	r := &reading{tip: t.tip, files: map[string]*edit.File{}, trust: map[string][]verify.NamedPolicy{}}
	s := settings{flux: true}
	if err := a.prefetch(ctx, t.tree); err != nil {
		return nil, err
	}
	data, err := a.config(ctx, t.tree)
	if err == nil {
		s, err = parseSettings(data)
	}
	if err != nil && !errors.Is(err, errNoConfig) {
		return nil, fmt.Errorf("reading %s: %w", v1alpha1.ConfigFile, err)
	}
	missing := err != nil
	targets := s.targets()
	wanted, err := a.wanted(ctx, t.tree, targets)
	if err != nil {
		return nil, err
	}
	contents, err := a.contents(ctx, t.tree, r, wanted)
	if err != nil {
		return nil, err
	}
	if s.flux {
		r.notes = append(r.notes, s.addFlux(readFlux(wanted, contents), t.branch)...)
	}
	if len(s.images) == 0 {
		if missing {
			return nil, errNoConfig
		}
		return nil, errors.New("automate.images is empty, and there are no Flux ImagePolicy documents; hint: list the images to follow")
	}
	r.settings = s
	if err := r.addPlaces(ctx, wanted, contents, targets); err != nil {
		return nil, err
	}
	return r, a.readSidecars(ctx, t.tree, r)
}

// prefetch asks for all YAML files that are not known, sealift.yaml and the holds among them,
// in one request: what the settings name besides is asked for later.
func (a *Automator) prefetch(ctx context.Context, tree tree) error {
	files, err := a.wanted(ctx, tree, nil)
	if err != nil {
		return err
	}
	_, err = a.contents(ctx, tree, &reading{}, files)
	return err
}

// config is sealift.yaml: the one that was given, else that of the tree.
func (a *Automator) config(ctx context.Context, tree tree) ([]byte, error) {
	if a.opts.Config != nil {
		return a.opts.Config, nil
	}
	data, err := readOne(ctx, tree, v1alpha1.ConfigFile)
	if err == nil && data == nil {
		return nil, errNoConfig
	}
	return data, err
}

// readOne reads one regular file; nil: there is none.
func readOne(ctx context.Context, tree tree, path string) ([]byte, error) {
	blob, err := tree.Find(path)
	if err != nil || blob == "" {
		return nil, err
	}
	contents, _, err := tree.Read(ctx, []string{blob})
	if err != nil {
		return nil, err
	}
	data, ok := contents[blob]
	if !ok {
		return nil, errTooLarge
	}
	return data, nil
}

var errTooLarge = fmt.Errorf("the file is larger than %d bytes", edit.MaxBytes)

// wanted lists the files that may hold places or Flux's documents, but none whose content is
// known to hold neither.
func (a *Automator) wanted(ctx context.Context, tree tree, targets []edit.Target) ([]listed, error) {
	var found []listed
	err := tree.Files(ctx, func(path, blob, odd string) error {
		switch {
		case isTargeted(targets, path):
		case flux.MayHaveDocuments(path, nil): // by its name alone: kustomizations set namespaces
		case !edit.MayHaveMarkers(base(path)) && !isManifest(path), a.plain[blob]:
			return nil
		}
		found = append(found, listed{path, blob, odd})
		return nil
	})
	return found, err
}

func isManifest(path string) bool {
	return strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")
}

func isTargeted(targets []edit.Target, path string) bool {
	return slices.ContainsFunc(targets, func(t edit.Target) bool { return t.Matches(path) })
}

// contents reads files in one request. Those that cannot be edited become notes.
func (a *Automator) contents(ctx context.Context, tree tree, r *reading, wanted []listed) (map[string][]byte, error) {
	var blobs []string
	for _, f := range wanted {
		if f.odd == "" {
			blobs = append(blobs, f.blob)
		}
	}
	slices.Sort(blobs)
	contents, tooLarge, err := tree.Read(ctx, slices.Compact(blobs))
	if err != nil {
		return nil, err
	}
	for _, f := range wanted {
		switch {
		case f.odd != "":
			r.notes = append(r.notes, Note{File: f.path, Reason: f.odd})
		case slices.Contains(tooLarge, f.blob):
			r.notes = append(r.notes, Note{File: f.path, Reason: errTooLarge.Error()})
		}
	}
	a.remember(wanted, contents)
	return contents, nil
}

// remember marks contents that hold neither markers nor documents: what they are called does
// not matter. Files that a target leads to are read all the same.
func (a *Automator) remember(wanted []listed, contents map[string][]byte) {
	if len(a.plain)+len(contents) > maxIndexed {
		clear(a.plain)
	}
	for _, f := range wanted {
		if data, ok := contents[f.blob]; ok && !edit.HasMarker(data) && !flux.MayHaveDocuments("x.yaml", data) {
			a.plain[f.blob] = true
		}
	}
}

func readFlux(wanted []listed, contents map[string][]byte) flux.Found {
	var files []flux.File
	for _, f := range wanted {
		if data := contents[f.blob]; f.odd == "" && flux.MayHaveDocuments(f.path, data) {
			files = append(files, flux.File{Path: f.path, Data: data})
		}
	}
	return flux.Read(files)
}

// addPlaces finds the values that belong to images; what cannot be edited becomes a note.
func (r *reading) addPlaces(ctx context.Context, wanted []listed, contents map[string][]byte, targets []edit.Target) error {
	left := maxMarkedBytes
	for _, f := range wanted {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, ok := contents[f.blob]
		marked := ok && edit.MayHaveMarkers(base(f.path)) && edit.HasMarker(data)
		if !ok || f.odd != "" || !marked && !isTargeted(targets, f.path) {
			continue
		}
		if left -= len(data); left < 0 {
			return fmt.Errorf("its files with markers and targets have more than %d bytes together", maxMarkedBytes)
		}
		file, err := edit.Read(f.path, data, targets)
		if err != nil {
			r.notes = append(r.notes, Note{File: f.path, Reason: err.Error()})
			continue
		}
		if len(file.Places()) > 0 {
			r.files[f.path] = file
			r.paths = append(r.paths, f.path)
		}
	}
	r.notes = append(r.notes, r.missedTargets()...)
	slices.Sort(r.paths)
	return nil
}

// missedTargets are the targets that no file of the tree is of.
func (r *reading) missedTargets() []Note {
	var notes []Note
	for _, img := range r.settings.images {
		for i, target := range img.targets {
			if !slices.ContainsFunc(r.paths, target.Matches) && !slices.ContainsFunc(r.notes, func(n Note) bool { return target.Matches(n.File) }) {
				notes = append(notes, Note{File: img.source, Image: img.policy, Reason: fmt.Sprintf("no file is at %s, which targets[%d] names", img.Targets[i].Path, i)})
			}
		}
	}
	return notes
}

// readSidecars reads the holds and the trust policies that the settings name.
func (a *Automator) readSidecars(ctx context.Context, tree tree, r *reading) error {
	data, err := readOne(ctx, tree, hold.Path)
	if err == nil && data != nil {
		r.holds, err = hold.Parse(data)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", hold.Path, err)
	}
	for _, img := range r.settings.images {
		if _, known := r.trust[img.Trust]; known || img.Trust == "" {
			continue
		}
		data, err := readOne(ctx, tree, img.Trust)
		if err == nil && data == nil {
			err = errors.New("there is no such file")
		}
		if err == nil {
			r.trust[img.Trust], err = policy.Parse(data)
		}
		if err != nil {
			return fmt.Errorf("reading the trust policy %s: %w", img.Trust, err)
		}
	}
	return nil
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
