package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/spf13/cobra"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/publisher"
)

type publishOptions struct {
	registry     registryFlags
	publisher    publisher.Options
	to           string
	environments []string
	signing      signingFlags
	quiet        bool
	output       string
}

func newPublishCommand(s streams) *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:   "publish --key cosign.key",
		Short: "Package a Git commit into a signed release, and push it",
		Long: `Package a Git commit into a signed, immutable release, and push it to an OCI
registry. The commit is read from Git's object store: what is not committed is
not published. Publishing the same commit again changes nothing.

Where to publish, and which environments, is read from sealift.yaml in the commit
unless --to and --environment say it. The password of an encrypted key is read
from ` + keyPasswordVar + `, or asked for on a terminal.`,
		Example: `  # What sealift.yaml says
  sealift publish --key cosign.key

  # One environment, without a sealift.yaml
  sealift publish --key cosign.key --to oci://registry.example.com/deploy/shop \
    --environment prod=deploy/overlays/prod

  # In CI, where HEAD is detached
  sealift publish --key cosign.key --ref refs/heads/main -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	o.registry.register(flags)
	flags.StringVar(&o.to, "to", "", "where to publish: oci://HOST/REPOSITORY (default what sealift.yaml says)")
	flags.StringArrayVar(&o.environments, "environment", nil, "NAME=FOLDER of an environment; repeat it for several (default what sealift.yaml says)")
	o.signing.register(flags)
	p := &o.publisher
	flags.StringVarP(&p.Dir, "dir", "C", "", "the Git repository (default the current folder)")
	flags.StringVar(&p.Rev, "rev", "HEAD", "the commit to publish")
	flags.StringVar(&p.Ref, "ref", "", "the Git ref that the release states, such as refs/heads/main (default the branch of --rev)")
	flags.StringVar(&p.Source, "source", "", "the Git URL that the release states (default the remote origin's)")
	flags.StringVar(&p.Version, "version", "", "a semantic version (default the commit's highest version tag, else 0.EPOCH-1.SEQUENCE)")
	flags.StringVar(&p.Channel, "channel", "", "the tag that moves to the release (default the branch)")
	flags.Int64Var(&p.Epoch, "epoch", 1, "to be raised by one when history was rewritten; pass it from then on")
	flags.BoolVar(&p.AllowSecrets, "allow-secrets", false, "publish Secrets that are not encrypted")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "print no progress")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

func (o *publishOptions) run(ctx context.Context, s streams) error {
	if err := o.complete(s); err != nil {
		return err
	}
	// Kustomize logs names from the commit, with whatever control characters are in them.
	log.SetOutput(io.Discard)
	releases, err := publisher.Plan(o.publisher)
	if err != nil {
		return err
	}
	registry, err := o.registry.connect()
	if err != nil {
		return err
	}
	sign, verifier, attester, err := o.signing.connect(ctx, s, registry)
	if err != nil {
		return err
	}
	var results []publisher.Result
	for _, release := range releases {
		release.Registry, release.Signer, release.Verifier, release.Attester = registry, sign, verifier, attester
		result, err := publisher.Publish(ctx, release)
		if err != nil {
			return errors.Join(fmt.Errorf("publishing to %s: %w", release.To, err), o.print(s, results))
		}
		results = append(results, result)
	}
	return o.print(s, results)
}

// complete checks the flags and hands them to the publisher.
func (o *publishOptions) complete(s streams) error {
	if err := o.signing.check(); err != nil {
		return err
	}
	switch {
	case o.output != "" && o.output != "json":
		return usage(errors.New(`-o: only "json" is known`))
	case o.publisher.Epoch < 1:
		return usage(errors.New("--epoch is at least 1"))
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
	if !o.quiet {
		o.publisher.Progress = func(step string) { fmt.Fprintln(s.Err, printable(step)) }
	}
	return nil
}

// print writes JSON (an object for one release, an array for several) to Out, or
// a summary for people to Err.
func (o *publishOptions) print(s streams, results []publisher.Result) error {
	if o.output == "json" && len(results) == 1 {
		return printJSON(s.Out, results[0])
	}
	if o.output == "json" && len(results) > 1 {
		return printJSON(s.Out, results)
	}
	for _, r := range results {
		what := "published"
		if r.Unchanged {
			what = "unchanged"
		}
		fmt.Fprintf(s.Err, "%s %s\n  version %s, sequence %d, from %s, tags %s\n",
			what, r.Reference, printable(r.Version), r.Sequence, printable(r.Revision), printable(strings.Join(r.Tags, " ")))
		if r.Superseded != "" {
			fmt.Fprintf(s.Err, "  the channel stays at the newer release %s\n", r.Superseded)
		}
		if r.SupersededEpoch > 0 {
			fmt.Fprintf(s.Err, "  it is of epoch %d, and this one of %d; hint: publish with --epoch %d from now on\n", r.SupersededEpoch, r.Epoch, r.SupersededEpoch)
		}
		if r.VersionTaken != "" {
			fmt.Fprintf(s.Err, "  the tag %s is another ref's release, %s; hint: --version, if this one shall have one\n", printable(r.Version), r.VersionTaken)
		}
	}
	return nil
}
