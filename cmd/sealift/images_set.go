package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/edit"
	"sealift.dev/automator/remote"
	"sealift.dev/automator/worktree"
	"sealift.dev/internal/objects"
	"sealift.dev/internal/strict"
)

// Limits of a file of values.
const (
	maxValuesBytes = 4 << 20
	maxValues      = 10_000
)

type imagesSetOptions struct {
	dir    string
	values string
	dryRun bool
	output string
}

func newImagesSetCommand(s streams) *cobra.Command {
	var o imagesSetOptions
	cmd := &cobra.Command{
		Use:   "set --dir DIR --values FILE",
		Short: "Write image tags and digests into the files of a folder",
		Long: `Write images to the values of a folder that have a marker
# {"$imagepolicy": "NAMESPACE:NAME"}, and to those that the targets of DIR/sealift.yaml
lead to, if it is there. Neither Git nor a registry is needed, and no version is
compared: what the file of values says is written.

FILE is JSON, - standard input:

  [{"namespace": "shop", "name": "web", "image": "registry.example.com/web",
    "tag": "1.2.0", "digest": "sha256:..."}]

The digest may be left out. All files are written, or none. What is left alone is
said with the reason, and is no error.`,
		Example: `  sealift images set --dir deploy --values images.json --dry-run

  # In CI, behind the build
  echo '[{"namespace":"shop","name":"web","image":"registry.example.com/web","tag":"1.2.0"}]' |
    sealift images set --dir . --values -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dir, "dir", "", "folder whose files are edited (required)")
	flags.StringVar(&o.values, "values", "", "JSON file with the images, - for standard input (required)")
	flags.BoolVar(&o.dryRun, "dry-run", false, "print the diff and write nothing")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

func (o *imagesSetOptions) run(ctx context.Context, s streams) error {
	switch {
	case o.dir == "":
		return usage(errors.New("--dir is missing; hint: --dir ."))
	case o.values == "":
		return usage(errors.New("--values is missing; hint: --values images.json"))
	}
	if err := checkOutput(o.output, "", "json"); err != nil {
		return err
	}
	images, err := o.readValues(s.In)
	if err != nil {
		return err
	}
	tree, err := worktree.Open(o.dir)
	if err != nil {
		return err
	}
	defer tree.Close()
	targets, err := readTargets(tree, images)
	if err != nil {
		return err
	}
	plan, err := tree.Plan(ctx, images, targets)
	if err != nil {
		return err
	}
	if !o.dryRun {
		if err := tree.Write(plan); err != nil {
			return err
		}
	}
	return o.print(s, images, plan)
}

// readValues reads what is to be written; anything wrong with it is a misuse.
func (o *imagesSetOptions) readValues(stdin io.Reader) ([]edit.Image, error) {
	from := stdin
	if o.values != "-" {
		file, err := os.Open(o.values)
		if err != nil {
			return nil, fmt.Errorf("reading the values: %w", err)
		}
		defer file.Close()
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, maxValuesBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the values of %s: %w", o.values, err)
	}
	if len(data) > maxValuesBytes {
		return nil, usage(fmt.Errorf("the values of %s have more than %d bytes", o.values, maxValuesBytes))
	}
	images, err := parseValues(data)
	if err != nil {
		return nil, usage(fmt.Errorf("the values of %s: %w", o.values, err))
	}
	return images, nil
}

// value is an entry of the file of values.
type value struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Image     string `json:"image"`
	Tag       string `json:"tag"`
	Digest    string `json:"digest"`
}

func parseValues(data []byte) ([]edit.Image, error) {
	var values []value
	if err := strict.Unmarshal(data, &values); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&values); err != nil {
		return nil, err
	}
	if len(values) == 0 || len(values) > maxValues {
		return nil, fmt.Errorf("%d images are there, and 1 to %d wanted", len(values), maxValues)
	}
	var images []edit.Image
	seen := map[string]bool{}
	for i, v := range values {
		img := edit.Image{Policy: v.Namespace + ":" + v.Name, Repo: v.Image, Tag: v.Tag, Digest: v.Digest}
		err := img.Check()
		if err == nil && seen[img.Policy] {
			err = fmt.Errorf("%s is there twice", img.Policy)
		}
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		seen[img.Policy] = true
		images = append(images, img)
	}
	return images, nil
}

// readTargets are the targets of the images in the folder's sealift.yaml.
func readTargets(tree *worktree.Tree, images []edit.Image) ([]edit.Target, error) {
	data, err := tree.Read(v1alpha1.ConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	documents, err := objects.Documents(objects.File{Path: v1alpha1.ConfigFile, Data: data}, objects.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("reading the targets: %w", err)
	}
	wanted := map[string]bool{}
	for _, img := range images {
		wanted[img.Policy] = true
	}
	var targets []edit.Target
	for _, d := range documents {
		var config v1alpha1.Config
		if err := yaml.UnmarshalStrict(d.JSON, &config); err != nil {
			return nil, fmt.Errorf("reading the targets of %s: %w", v1alpha1.ConfigFile, err)
		}
		found, err := targetsOf(config.Automate, wanted)
		if err != nil {
			return nil, fmt.Errorf("reading the targets of %s: %w", v1alpha1.ConfigFile, err)
		}
		targets = append(targets, found...)
	}
	return targets, nil
}

func targetsOf(automate *v1alpha1.Automate, wanted map[string]bool) ([]edit.Target, error) {
	if automate == nil {
		return nil, nil
	}
	var targets []edit.Target
	for i, img := range automate.Images {
		namespace := img.Namespace
		if namespace == "" {
			namespace = img.Name
		}
		policy := namespace + ":" + img.Name
		if !wanted[policy] {
			continue
		}
		for j, t := range img.Targets {
			target, err := edit.NewTarget(policy, t)
			if err != nil {
				return nil, fmt.Errorf("automate.images[%d].targets[%d]: %w", i, j, err)
			}
			targets = append(targets, target)
		}
	}
	return targets, nil
}

// print writes what was changed, or the diff of a dry run, to Out. Why something was left
// alone is for people.
func (o *imagesSetOptions) print(s streams, images []edit.Image, plan *worktree.Plan) error {
	for _, img := range images {
		if !plan.Found[img.Policy] {
			plan.Notes = append(plan.Notes, worktree.Note{Policy: img.Policy, Reason: "no file has a marker or a target of it"})
		}
	}
	diff := ""
	if o.dryRun {
		var err error
		if diff, err = setDiff(plan); err != nil {
			return err
		}
	}
	if o.output == "json" {
		return printJSON(s.Out, setReport(plan, diff))
	}
	for _, note := range plan.Notes {
		where := note.File
		switch {
		case note.File == "":
			where = note.Policy
		case note.Line > 0:
			where = fmt.Sprintf("%s:%d", note.File, note.Line)
		}
		fmt.Fprintf(s.Err, "%s: %s\n", printable(where), printable(note.Reason))
	}
	if len(plan.Changes) == 0 {
		fmt.Fprintln(s.Err, "nothing to do: every value is up to date, or left alone")
	}
	if o.dryRun {
		if isTerminal(s.Out) {
			diff = printable(diff) // elsewhere it is a patch, byte for byte
		}
		_, err := io.WriteString(s.Out, diff)
		return err
	}
	var lines strings.Builder
	for _, c := range plan.Changes {
		fmt.Fprintf(&lines, "%s:%d: %s → %s\n", printable(c.File), c.Line, printable(c.Old), printable(c.New))
	}
	_, err := io.WriteString(s.Out, lines.String())
	return err
}

func setDiff(plan *worktree.Plan) (string, error) {
	var changes []remote.FileChange
	for _, f := range plan.Files {
		changes = append(changes, remote.FileChange{Path: f.Path, Before: f.Before, After: f.After, Executable: f.Mode&0o111 != 0})
	}
	return remote.Patch(changes)
}

// setReport is what was done as programs read it.
func setReport(plan *worktree.Plan, diff string) any {
	type change struct {
		File  string `json:"file"`
		Line  int    `json:"line"`
		Image string `json:"image"`
		Old   string `json:"old"`
		New   string `json:"new"`
	}
	type note struct {
		File   string `json:"file,omitempty"`
		Line   int    `json:"line,omitempty"`
		Image  string `json:"image,omitempty"`
		Reason string `json:"reason"`
	}
	out := struct {
		Changes []change `json:"changes"`
		Notes   []note   `json:"notes,omitempty"`
		Diff    string   `json:"diff,omitempty"` // with --dry-run
	}{Changes: []change{}, Diff: diff}
	for _, c := range plan.Changes {
		out.Changes = append(out.Changes, change{c.File, c.Line, c.Policy, c.Old, c.New})
	}
	for _, n := range plan.Notes {
		out.Notes = append(out.Notes, note{n.File, n.Line, n.Policy, n.Reason})
	}
	return out
}
