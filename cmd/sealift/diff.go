package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/artifact"
	"sealift.dev/internal/compare"
	"sealift.dev/internal/objects"
	"sealift.dev/verify"
)

type diffOptions struct {
	registry     registryFlags
	trust        trustFlags
	environments []string
	exitCode     bool
	output       string
	cluster      againstOptions
}

func newDiffCommand(s streams) *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff OLD NEW | diff [RELEASE] --delivery NAME",
		Short: "Show what is different in two releases, or in a release and a cluster",
		Long: `Compare two releases, object by object and field by field, for each environment.
Values of Secrets are masked; the order of lists whose elements have names does
not count, where Kubernetes does not care about it.

With --policy or --key, both releases are verified first.

With --delivery, compare a release with what a Delivery has in its cluster: what the
Delivery's source names now, or another release of that repository. It is verified
under the Delivery's policies, tailored, planned and dry-run as its service account,
as a pass would do it; nothing is written. A release that is not trusted exits with
3, an object that the API server refuses with 1. Run as somebody who may read the
cluster and impersonate the account, or with --as-self.`,
		Example: `  sealift diff oci://registry.example.com/deploy/shop:1.4.0 oci://registry.example.com/deploy/shop:main

  # For a pull request
  sealift diff $OLD $NEW --environment prod -o markdown | gh pr comment --body-file -

  # What would the next pass do?
  sealift diff --delivery shop -n shop --exit-code

  # And a release that is not there yet?
  sealift diff oci://registry.example.com/deploy/shop:1.5.0 --delivery shop -n shop`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.cluster.delivery != "" {
				return optionalArg(cmd, args)
			}
			return twoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	flags := cmd.Flags()
	o.registry.register(flags)
	o.trust.register(flags)
	flags.StringSliceVar(&o.environments, "environment", nil, "compare this environment only; repeat it for several")
	flags.BoolVar(&o.exitCode, "exit-code", false, "exit with 4 if anything is different")
	outputFlag(cmd, &o.output, "output format", "json", "markdown")
	o.cluster.register(flags)
	_ = cmd.RegisterFlagCompletionFunc("delivery", o.cluster.deliveries.complete(-1)) // fails without the flag
	return cmd
}

// errDifferent is no failure: it asks for an exit code.
var errDifferent = errors.New("there are differences")

func (o *diffOptions) run(ctx context.Context, s streams, args []string) error {
	if err := checkOutput(o.output, "", "json", "markdown"); err != nil {
		return err
	}
	if o.cluster.delivery != "" {
		return o.against(ctx, s, args)
	}
	before, after := args[0], args[1]
	registry, err := o.registry.connect()
	if err != nil {
		return err
	}
	fetch, err := o.fetcher(ctx, s, registry)
	if err != nil {
		return err
	}
	was, err := fetch(before)
	if err != nil {
		return err
	}
	is, err := fetch(after)
	if err != nil {
		return err
	}
	report, err := o.report(was, is)
	if err != nil {
		return err
	}
	if err := o.print(s.Out, report); err != nil {
		return err
	}
	if o.exitCode && report.Different {
		return errDifferent
	}
	return nil
}

// fetcher reads a release; where somebody is named whom to trust, after it was verified.
func (o *diffOptions) fetcher(ctx context.Context, s streams, registry *artifact.Registry) (func(address string) (*artifact.Release, error), error) {
	if !o.trust.given() {
		fmt.Fprintln(s.Err, "not verified: neither --policy nor --key was given")
		return func(address string) (*artifact.Release, error) {
			ref, err := resolve(ctx, registry, address)
			if err != nil {
				return nil, err
			}
			return registry.Fetch(ctx, ref, artifact.DefaultLimits())
		}, nil
	}
	verifier, policies, err := o.trust.connect(ctx)
	if err != nil {
		return nil, err
	}
	return func(address string) (*artifact.Release, error) {
		ref, err := resolve(ctx, registry, address)
		if err != nil {
			return nil, err
		}
		verified, err := verifier.Release(ctx, registry, ref, policies, verify.Claim{})
		if err != nil {
			return nil, err
		}
		return registry.Fetch(ctx, verified.Ref(), artifact.DefaultLimits())
	}, nil
}

func (o *diffOptions) report(was, is *artifact.Release) (compare.Report, error) {
	before, err := o.decode(was)
	if err != nil {
		return compare.Report{}, err
	}
	after, err := o.decode(is)
	if err != nil {
		return compare.Report{}, err
	}
	r := compare.Report{Before: o.side(was), After: o.side(is), Images: changedImages(before, after)}
	names := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		e := compare.Environment{Name: name, Objects: compare.Objects(before[name], after[name])}
		switch {
		case before[name] == nil:
			e.Change = compare.Added
		case after[name] == nil:
			e.Change = compare.Removed
		}
		r.Environments = append(r.Environments, e)
	}
	for _, name := range o.environments {
		if !slices.Contains(names, name) {
			return compare.Report{}, fmt.Errorf("neither release has the environment %q", name)
		}
	}
	r.Finish()
	return r, nil
}

func (o *diffOptions) side(r *artifact.Release) compare.Side {
	return compare.Side{Reference: r.Ref.String(), Verified: o.trust.given(), Revision: r.Statement.Revision,
		Version: r.Statement.Version, Sequence: r.Statement.Sequence}
}

// decode reads the objects of each environment; of another tool's artifact, all
// of them are those of the environment ".".
func (o *diffOptions) decode(r *artifact.Release) (map[string][]*unstructured.Unstructured, error) {
	files := map[string][]objects.File{}
	for _, f := range r.Files {
		name := "."
		if len(r.Config.Environments) > 0 {
			name, _, _ = strings.Cut(f.Path, "/")
		}
		if !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(f.Path)) || len(o.environments) > 0 && !slices.Contains(o.environments, name) {
			continue
		}
		files[name] = append(files[name], f)
	}
	decoded := map[string][]*unstructured.Unstructured{}
	for name, some := range files {
		objs, err := objects.Decode(some, objects.DefaultLimits())
		if err != nil {
			return nil, fmt.Errorf("reading the environment %q of %s: %w", name, r.Ref, err)
		}
		decoded[name] = append([]*unstructured.Unstructured{}, objs...)
	}
	return decoded, nil
}

// changedImages pairs images by name where each side has one of that name.
func changedImages(before, after map[string][]*unstructured.Unstructured) []compare.Image {
	was, is := versions(before), versions(after)
	names := slices.Concat(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is)))
	slices.Sort(names)
	changed := []compare.Image{}
	for _, name := range slices.Compact(names) {
		gone, came := without(was[name], is[name]), without(is[name], was[name])
		for i := range max(len(gone), len(came)) {
			image := compare.Image{Name: name}
			if i < len(gone) {
				image.Before = gone[i]
			}
			if i < len(came) {
				image.After = came[i]
			}
			changed = append(changed, image)
		}
	}
	return changed
}

// versions is what is written behind each image's name: TAG, @DIGEST or both.
func versions(environments map[string][]*unstructured.Unstructured) map[string][]string {
	var all []*unstructured.Unstructured
	for _, objs := range environments {
		all = append(all, objs...)
	}
	found := map[string][]string{}
	for _, written := range objects.Images(all) {
		name, version := written, ""
		if i := strings.IndexByte(name, '@'); i >= 0 {
			name, version = name[:i], name[i:]
		}
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
			name, version = name[:i], name[i+1:]+version
		}
		found[name] = append(found[name], orElse(version, "latest"))
	}
	return found
}

func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

func (o *diffOptions) print(w io.Writer, r compare.Report) error {
	switch o.output {
	case "json":
		return printJSON(w, r)
	case "markdown":
		_, err := io.WriteString(w, r.Markdown(compare.MaxComment))
		return err
	}
	_, err := io.WriteString(w, r.Text())
	return err
}
