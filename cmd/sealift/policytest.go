package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/Masterminds/semver/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sealift.dev/artifact"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

const (
	maxTestedTags = 20_000 // listed
	maxTested     = 1_000  // verified
	testedAtOnce  = 4
)

type policyTestOptions struct {
	registry  registryFlags
	root      rootFlags
	last      int
	namespace string
	output    string
}

func newPolicyTestCommand(s streams) *cobra.Command {
	var o policyTestOptions
	cmd := &cobra.Command{
		Use:   "test FILE oci://HOST/REPOSITORY",
		Short: "Try trust policies on the releases that exist",
		Long: `Verify the newest releases of a repository under the trust policies in a file, and
say which of them would be let in: before a policy is enforced, or changed.

Releases are found by their version tags, the highest versions first. Policies in
Audit mode are held against them as if they were enforced. The count of what a
cluster has accepted before plays no part.

Exit code 3 means that a release would be refused, 1 that of one it could not be
found out.`,
		Example: `  sealift policy test trust.yaml oci://registry.example.com/deploy/shop --last 50`,
		Args:    twoArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0], args[1]) },
	}
	flags := cmd.Flags()
	o.registry.register(flags)
	o.root.register(flags)
	flags.IntVar(&o.last, "last", 50, fmt.Sprintf("how many releases, 1 to %d", maxTested))
	flags.StringVarP(&o.namespace, "namespace", "n", "", "namespace of the Delivery that is to be let in (default any)")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

// tried is what the policies say of one release.
type tried struct {
	Tag      string       `json:"tag"`
	Ref      artifact.Ref `json:"-"`
	Accepted bool         `json:"accepted"`
	// Verdict is a verify.Verified, or a *verify.Refusal.
	Verdict any    `json:"verdict,omitempty"`
	Problem string `json:"problem,omitempty"` // where there is no verdict

	verified verify.Verified
	err      error
}

func (o *policyTestOptions) run(ctx context.Context, s streams, file, address string) error {
	if o.last < 1 || o.last > maxTested {
		return usage(fmt.Errorf("--last is %d, and must be 1 to %d", o.last, maxTested))
	}
	if err := checkOutput(o.output, "", "json"); err != nil {
		return err
	}
	policies, err := readPolicies(file)
	if err != nil {
		return err
	}
	for i := range policies {
		policies[i].Policy.Mode = policy.Enforce
	}
	parsed, err := artifact.ParseRepository(address)
	if err != nil {
		return usage(err)
	}
	options, err := o.root.options()
	if err != nil {
		return err
	}
	verifier, err := verify.New(options)
	if err != nil {
		return err
	}
	registry, err := o.registry.connect()
	if err != nil {
		return err
	}
	tags, err := registry.Tags(ctx, parsed, maxTestedTags)
	if err != nil {
		return err
	}
	versions := newest(tags, o.last)
	if len(versions) == 0 {
		return fmt.Errorf("testing the policy: none of the %d tags of %s is a version; hint: sealift publish writes version tags", len(tags), parsed)
	}
	releases := o.try(ctx, registry, verifier, policies, parsed, versions)
	if err := o.print(s.Out, parsed, releases); err != nil {
		return err
	}
	return conclude(s.Err, releases)
}

// newest are the tags of the highest versions, the highest first. Other tags are
// passed over.
func newest(tags []string, last int) []string {
	versions := map[string]*semver.Version{}
	for _, tag := range tags {
		if v, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v")); err == nil {
			versions[tag] = v
		}
	}
	sorted := make([]string, 0, len(versions))
	for tag := range versions {
		sorted = append(sorted, tag)
	}
	slices.SortFunc(sorted, func(a, b string) int {
		return cmp.Or(versions[b].Compare(versions[a]), strings.Compare(a, b))
	})
	return sorted[:min(last, len(sorted))]
}

func (o *policyTestOptions) try(ctx context.Context, registry *artifact.Registry, verifier *verify.Verifier, policies []verify.NamedPolicy, repository artifact.Repository, tags []string) []tried {
	releases := make([]tried, len(tags))
	var group errgroup.Group
	group.SetLimit(testedAtOnce)
	for i, tag := range tags {
		group.Go(func() error {
			t := &releases[i]
			t.Tag = tag
			if t.Ref, t.err = registry.Resolve(ctx, repository, tag); t.err == nil {
				t.verified, t.err = verifier.Release(ctx, registry, t.Ref, policies, verify.Claim{Namespace: o.namespace})
			}
			var refusal *verify.Refusal
			switch {
			case t.err == nil:
				t.Accepted, t.Verdict = true, t.verified
			case errors.As(t.err, &refusal):
				t.Verdict = refusal
			default:
				t.Problem = t.err.Error()
			}
			return nil
		})
	}
	_ = group.Wait() // what went wrong is told release by release
	return releases
}

func (o *policyTestOptions) print(out io.Writer, repository artifact.Repository, releases []tried) error {
	if o.output == "json" {
		return printDocument(out, "json", struct {
			Repository string  `json:"repository"`
			Releases   []tried `json:"releases"`
		}{repository.String(), releases})
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TAG\tDIGEST\tVERDICT\tWHY")
	for _, t := range releases {
		verdict, why := t.explain()
		fmt.Fprintf(table, "%s\t%.19s\t%s\t%s\n", printable(t.Tag), t.Ref.Digest, verdict, printable(why))
	}
	return table.Flush()
}

// explain is the verdict in a word, and its reason.
func (t tried) explain() (verdict, why string) {
	var refusal *verify.Refusal
	switch {
	case errors.As(t.err, &refusal):
		return string(refusal.Reason), strings.TrimPrefix(refusal.Error(), fmt.Sprintf("verifying %s: ", t.Ref))
	case t.err != nil:
		return "unknown", t.err.Error()
	}
	var by []string
	for _, signer := range t.verified.Signers() {
		by = append(by, signer.Authority)
	}
	return "let in", "signed by " + strings.Join(by, " and ")
}

// conclude counts, and is the error that the exit code comes from: a refusal before
// what could not be found out.
func conclude(progress io.Writer, releases []tried) error {
	var refused, unknown int
	var first, open error
	for _, t := range releases {
		switch {
		case t.err == nil:
		case exitCode(t.err) == exitUntrusted:
			refused++
			first = cmp.Or(first, t.err)
		default:
			unknown++
			open = cmp.Or(open, t.err)
		}
	}
	fmt.Fprintf(progress, "%d of %d releases would be let in\n", len(releases)-refused-unknown, len(releases))
	switch {
	case first != nil:
		return fmt.Errorf("%d of %d releases would be refused, the newest of them: %w", refused, len(releases), first)
	case open != nil:
		return fmt.Errorf("of %d of %d releases it could not be found out: %w", unknown, len(releases), open)
	}
	return nil
}

// MarshalJSON adds where the release is.
func (t tried) MarshalJSON() ([]byte, error) {
	type plain tried
	return json.Marshal(struct {
		Digest string `json:"digest,omitempty"`
		plain
	}{string(t.Ref.Digest), plain(t)})
}
