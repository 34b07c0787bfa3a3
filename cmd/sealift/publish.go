package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/publisher"
	"sealift.dev/verify"
)

// maxParallel bounds --parallel: registries count requests.
const maxParallel = 64

type publishOptions struct {
	registry     registryFlags
	publisher    publisher.Options
	to           string
	environments []string
	signing      signingFlags
	noPin        bool
	verifyImages string
	skip         bool
	parallel     int
	quiet        bool
	output       string
	audited      audited
}

func newPublishCommand(s streams) *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:   "publish [--key cosign.key]",
		Short: "Package a Git commit into a signed release, and push it",
		Long: `Package a Git commit into a signed, immutable release, and push it to an OCI
registry. The commit is read from Git's object store: what is not committed is
not published. Publishing the same commit again changes nothing.

Every image that a workload names gets its digest, so that the release says what
runs: the registries of the images are asked, unless --no-pin is given.

Where to publish, and which environments, is read from sealift.yaml in the commit
unless --to and --environment say it. Where that lists several releases, those
whose content is that of the channel are skipped. The password of an encrypted key is read
from ` + keyPasswordVar + `, or asked for on a terminal.`,
		Example: `  # What sealift.yaml says
  sealift publish --key cosign.key

  # One environment, without a sealift.yaml
  sealift publish --key cosign.key --to oci://registry.example.com/deploy/shop \
    --environment prod=deploy/overlays/prod

  # In CI, where HEAD is detached
  sealift publish --key cosign.key --ref refs/heads/main -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("skip-if-unchanged") {
				o.publisher.SkipIfUnchanged = &o.skip
			}
			return o.run(cmd.Context(), s)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

func (o *publishOptions) register(flags *pflag.FlagSet) {
	o.registry.register(flags)
	o.signing.register(flags)
	flags.StringVar(&o.to, "to", "", "where to publish: oci://HOST/REPOSITORY (default what sealift.yaml says)")
	flags.StringArrayVar(&o.environments, "environment", nil, "NAME=FOLDER of an environment; repeat it for several (default what sealift.yaml says)")
	p := &o.publisher
	flags.StringVarP(&p.Dir, "dir", "C", "", "the Git repository (default the current folder)")
	flags.StringVar(&p.Rev, "rev", "HEAD", "the commit to publish")
	flags.StringVar(&p.Ref, "ref", "", "the Git ref that the release states, such as refs/heads/main (default the branch of --rev)")
	flags.StringVar(&p.Source, "source", "", "the Git URL that the release states (default the remote origin's)")
	flags.StringVar(&p.Version, "version", "", "a semantic version (default the commit's highest version tag, else 0.EPOCH-1.SEQUENCE)")
	flags.StringVar(&p.Channel, "channel", "", "the tag that moves to the release (default the branch)")
	flags.Int64Var(&p.Epoch, "epoch", 1, "to be raised by one when history was rewritten; pass it from then on")
	flags.BoolVar(&o.noPin, "no-pin", false, "leave images as they are written, without asking for their digests: what a tag leads to may change")
	flags.StringVar(&o.verifyImages, "verify-images", "", "file with TrustPolicy documents: publish only if they let every image in")
	flags.BoolVar(&o.skip, "skip-if-unchanged", false, "make no release where the channel's has the same content (default true if sealift.yaml lists several releases)")
	flags.BoolVar(&p.AllowSecrets, "allow-secrets", false, "publish Secrets that are not encrypted")
	flags.BoolVar(&p.AllowSubmodules, "allow-submodules", false, "leave out the files of Git submodules")
	flags.BoolVar(&p.AllowPointers, "allow-lfs-pointers", false, "publish pointers of Git LFS as they are")
	flags.IntVar(&o.parallel, "parallel", 8, "how many releases are pushed at once")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "print no progress")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json")
}

func (o *publishOptions) run(ctx context.Context, s streams) error {
	if err := o.complete(); err != nil {
		return err
	}
	// Kustomize and Helm log names from the commit, with whatever control characters are in them.
	log.SetOutput(io.Discard)
	releases, err := publisher.Plan(o.publisher)
	if err != nil {
		return err
	}
	if err := o.connect(ctx, s, releases); err != nil {
		return err
	}
	p := &progress{to: s.Err, quiet: o.quiet, of: len(releases)}
	if len(releases) == 1 {
		releases[0].Progress = p.step
	}
	results, err := publisher.PublishAll(ctx, releases, publisher.Batch{Parallel: o.parallel, Done: p.done})
	p.end()
	o.audited.print(s.Err)
	return errors.Join(err, o.print(s, results))
}

// connect gives all releases the same registry, signer, and verifiers.
func (o *publishOptions) connect(ctx context.Context, s streams, releases []publisher.Options) error {
	var hosts []string
	for _, release := range releases {
		hosts = append(hosts, release.To.Host)
	}
	registry, err := o.registry.connect(hosts...)
	if err != nil {
		return err
	}
	sign, verifier, attester, err := o.signing.connect(ctx, s, registry)
	if err != nil {
		return err
	}
	var images publisher.ImageVerifier
	if o.verifyImages != "" {
		if images, err = o.imageVerifier(registry); err != nil {
			return err
		}
	}
	for i := range releases {
		r := &releases[i]
		r.Registry, r.Signer, r.Verifier, r.Attester, r.ImageVerifier = registry, sign, verifier, attester, images
		if !o.noPin {
			r.Images = registry
		}
	}
	return nil
}

// imageVerifier lets in the images that policies let in.
type imageVerifier struct {
	*verify.Verifier
	registry verify.Registry
	policies []verify.NamedPolicy
	audited  *audited
}

// audited is what policies in Audit mode would have refused.
type audited struct {
	mu    sync.Mutex
	lines []string
}

func (a *audited) add(ref artifact.Ref, findings []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, finding := range findings {
		a.lines = append(a.lines, fmt.Sprintf("the image %s: %s", ref, finding))
	}
}

func (a *audited) print(w io.Writer) {
	slices.Sort(a.lines)
	for _, line := range a.lines {
		fmt.Fprintf(w, "Audit      %s\n", printable(line))
	}
}

func (o *publishOptions) imageVerifier(registry verify.Registry) (publisher.ImageVerifier, error) {
	policies, err := readPolicies(o.verifyImages)
	if err != nil {
		return nil, err
	}
	verifier, err := o.signing.verifier()
	if err != nil {
		return nil, err
	}
	return imageVerifier{Verifier: verifier, registry: registry, policies: policies, audited: &o.audited}, nil
}

func (v imageVerifier) VerifyImage(ctx context.Context, ref artifact.Ref) (signedBy []string, err error) {
	verified, err := v.Image(ctx, v.registry, ref, v.policies)
	if err != nil {
		return nil, err
	}
	v.audited.add(ref, verified.Findings())
	for _, signer := range verified.Signers() {
		signedBy = append(signedBy, signer.Authority)
	}
	slices.Sort(signedBy)
	return slices.Compact(signedBy), nil
}

// complete checks the flags and hands them to the publisher.
func (o *publishOptions) complete() error {
	if err := o.signing.check(); err != nil {
		return err
	}
	switch {
	case o.output != "" && o.output != "json":
		return usage(errors.New(`-o: only "json" is known`))
	case o.publisher.Epoch < 1:
		return usage(errors.New("--epoch is at least 1"))
	case o.parallel < 1 || o.parallel > maxParallel:
		return usage(fmt.Errorf("--parallel is from 1 to %d", maxParallel))
	case o.noPin && o.verifyImages != "":
		return usage(errors.New("--verify-images goes without --no-pin: only a digest can be verified"))
	}
	if o.to != "" {
		to, err := artifact.ParseRepository(o.to)
		if err != nil {
			return usage(fmt.Errorf("--to: %w", err))
		}
		o.publisher.To = to
	}
	for _, pair := range o.environments {
		name, folder, found := strings.Cut(pair, "=")
		if !found || name == "" || folder == "" {
			return usage(fmt.Errorf("--environment %q: NAME=FOLDER is wanted", pair))
		}
		if _, twice := o.publisher.Environments[name]; twice {
			return usage(fmt.Errorf("--environment: %s is named twice", name))
		}
		if o.publisher.Environments == nil {
			o.publisher.Environments = map[string]v1alpha1.Environment{}
		}
		o.publisher.Environments[name] = v1alpha1.Environment{Folder: folder}
	}
	return nil
}

// print writes JSON (an object for one release, an array for several) to Out, or
// a summary for people to Err: of several, those that are new, and how many are not.
func (o *publishOptions) print(s streams, results []publisher.Result) error {
	if len(results) == 1 && results[0].State == publisher.Failed {
		return nil // the error says it all
	}
	if o.output == "json" && len(results) == 1 {
		return printJSON(s.Out, results[0])
	}
	if o.output == "json" {
		return printJSON(s.Out, results)
	}
	count := map[string]int{}
	for _, r := range results {
		if count[r.State]++; len(results) == 1 || r.State == publisher.Published {
			printResult(s.Err, r)
		}
	}
	if len(results) > 1 {
		fmt.Fprintf(s.Err, "%d published, %d unchanged, %d skipped, %d failed\n",
			count[publisher.Published], count[publisher.Unchanged], count[publisher.Skipped], count[publisher.Failed])
	}
	return nil
}

func printResult(w io.Writer, r publisher.Result) {
	fmt.Fprintf(w, "%s %s\n  version %s, sequence %d, from %s, tags %s\n",
		r.State, r.Reference, printable(r.Version), r.Sequence, printable(r.Revision), printable(strings.Join(r.Tags, " ")))
	if r.Superseded != "" {
		fmt.Fprintf(w, "  the channel stays at the newer release %s\n", r.Superseded)
	}
	if r.SupersededEpoch > 0 {
		fmt.Fprintf(w, "  it is of epoch %d, and this one of %d; hint: publish with --epoch %d from now on\n", r.SupersededEpoch, r.Epoch, r.SupersededEpoch)
	}
	if r.VersionTaken != "" {
		fmt.Fprintf(w, "  the tag %s is another ref's release, %s; hint: --version, if this one shall have one\n", printable(r.Version), r.VersionTaken)
	}
}
