package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sealift.dev/automator/choose"
	"sealift.dev/automator/registry"
)

// Limits of a list of tags on standard input.
const (
	maxTagLine   = 4 << 10
	maxTagLines  = 1_000_000
	maxExplained = 200_000
)

func newImagesCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Choose among the tags of an image, write references into files, and hold versions",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var names []string
			for _, sub := range cmd.Commands() {
				names = append(names, sub.Name())
			}
			return usage(fmt.Errorf("say which: %s", strings.Join(names, ", ")))
		},
	}
	cmd.AddCommand(newImagesChooseCommand(s), newImagesExplainCommand(s), newImagesSetCommand(s),
		newImagesHoldCommand(s), newImagesReleaseCommand(s), newImagesHoldsCommand(s))
	return cmd
}

// nothingError means that no tag matched.
type nothingError struct{ error }

func (e nothingError) Unwrap() error { return e.error }

// bare is the value of --alphabetical and --numerical without one; the help shows it.
const bare = "asc, or --order"

// policyFlags say which policy, and which tags.
type policyFlags struct {
	rule     choose.Rule
	order    string
	image    string
	registry registryFlags
	output   string
	semver   *pflag.Flag
}

func (p *policyFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&p.rule.Semver, "semver", "", `range of versions, such as ">=1.0.0 <2.0.0"`)
	flags.BoolVar(&p.rule.Loose, "loose", false, "with --semver: 1 and 1.2 are versions, too")
	flags.StringVar(&p.rule.Alphabetical, "alphabetical", "", "order bytewise: asc takes the last, desc the first")
	flags.StringVar(&p.rule.Numerical, "numerical", "", "order as numbers: asc takes the greatest, desc the least")
	flags.StringVar(&p.order, "order", "", "asc or desc, for --alphabetical and --numerical without a value (default asc)")
	flags.StringVar(&p.rule.Match, "match", "", "regular expression (RE2, not anchored) that tags must match")
	flags.StringVar(&p.rule.Extract, "extract", "", "what of a tag is ordered, in terms of --match's groups: '$1', '${version}' (default the whole tag)")
	flags.StringArrayVar(&p.rule.Ignore, "ignore", nil, "regular expression of tags that do not count; repeat it for several (default "+choose.DefaultIgnore+")")
	flags.StringVar(&p.image, "image", "", "list the tags of this repository, instead of reading them from standard input")
	flags.StringVarP(&p.output, "output", "o", "", "output format: json")
	flags.Lookup("alphabetical").NoOptDefVal, flags.Lookup("numerical").NoOptDefVal = bare, bare
	p.semver = flags.Lookup("semver")
	p.registry.register(flags)
}

// policy checks the flags. A lone argument is the order that follows a bare flag with a blank.
func (p *policyFlags) policy(cmd *cobra.Command, args []string) (*choose.Policy, error) {
	if err := checkOutput(p.output, "", "json"); err != nil {
		return nil, err
	}
	rule, isBare := p.rule, false
	for _, word := range []*string{&rule.Alphabetical, &rule.Numerical} {
		if *word != bare {
			continue
		}
		if *word, isBare = p.order, true; p.order == "" {
			*word = "asc"
		}
		if len(args) == 1 && p.order == "" {
			*word, args = args[0], nil
		}
	}
	switch {
	case len(args) > 0:
		return nil, noArgs(cmd, args)
	case !p.semver.Changed && rule.Alphabetical == "" && rule.Numerical == "":
		return nil, usage(errors.New("the policy is missing; hint: --semver RANGE, --alphabetical or --numerical"))
	case p.semver.Changed && strings.TrimSpace(rule.Semver) == "":
		return nil, usage(fmt.Errorf("--semver is empty; hint: %q means any release", "*"))
	case p.semver.Changed && strings.EqualFold(p.order, "asc"): // which is what it does
	case p.semver.Changed && p.order != "":
		return nil, usage(fmt.Errorf("--order %s: semver takes the highest version; hint: --alphabetical or --numerical", p.order))
	case p.order != "" && !isBare:
		return nil, usage(errors.New("--order goes with --alphabetical or --numerical, without a value of their own"))
	}
	policy, err := choose.New(rule)
	if err != nil {
		return nil, usage(fmt.Errorf("the policy is invalid: %w", err))
	}
	return policy, nil
}

// tags hands over the tags of --image, or the lines of standard input.
func (p *policyFlags) tags(ctx context.Context, in io.Reader, prefixes []string, offer func(tag string)) error {
	if p.image == "" {
		return readTags(in, offer)
	}
	network, err := p.registry.network.read()
	if err != nil {
		return err
	}
	transport, err := network.Transport()
	if err != nil {
		return usage(fmt.Errorf("reaching the registry: %w", err))
	}
	clouds, err := p.registry.network.clouds(transport)
	if err != nil {
		return err
	}
	client, err := registry.New(registry.Options{
		Transport: transport, PlainHTTP: p.registry.plainHTTP, TokenServers: p.registry.network.tokenServers, Clouds: clouds,
	})
	if err != nil {
		return err
	}
	_, err = client.Tags(ctx, p.image, prefixes, offer)
	return err
}

// readTags reads one tag a line. Blanks around it, and empty lines, do not count.
func readTags(in io.Reader, offer func(tag string)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxTagLine)
	count, line := 0, 1
	for ; lines.Scan(); line++ {
		tag := strings.TrimSpace(lines.Text())
		if tag == "" {
			continue
		}
		if count++; count > maxTagLines {
			return fmt.Errorf("standard input has more than %d tags", maxTagLines)
		}
		offer(tag)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d of standard input is longer than %d bytes; hint: one tag a line", line, maxTagLine)
	}
	return lines.Err()
}

type imagesChooseOptions struct {
	policyFlags
	current string
}

func newImagesChooseCommand(s streams) *cobra.Command {
	var o imagesChooseOptions
	cmd := &cobra.Command{
		Use:   "choose",
		Short: "Print the tag that a policy chooses",
		Long: `Print the tag that a policy chooses, among those on standard input, one a line, or
those of --image. Nothing is written, and without --image nothing is asked of
anybody. The policy "newest" needs to know when tags came, and is not offered here.

Exit codes: 2 the policy is invalid, 5 no tag matches it.`,
		Example: `  crane ls registry.example.com/apps/shop | sealift images choose --semver '>=1.0.0 <2.0.0'
  sealift images choose --image registry.example.com/apps/shop --semver 1.x --current v1.2.3
  sealift images choose --numerical --match '^main-[0-9a-f]+-(?P<at>\d+)$' --extract '$at' <tags`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, s, args) },
	}
	flags := cmd.Flags()
	o.register(flags)
	flags.StringVar(&o.current, "current", "", "tag that is there now: among spellings of one version, its own wins, then its way with the v")
	return cmd
}

func (o *imagesChooseOptions) run(cmd *cobra.Command, s streams, args []string) error {
	policy, err := o.policy(cmd, args)
	if err != nil {
		return err
	}
	tags := policy.Collect(choose.Options{Keep: 1})
	if err := o.tags(cmd.Context(), s.In, policy.Prefixes(), tags.Offer); err != nil {
		return err
	}
	ranked, err := tags.Ranked()
	if errors.Is(err, choose.ErrNothing) {
		return nothingError{fmt.Errorf("%w; hint: \"sealift images explain\" says why", err)}
	}
	if err != nil {
		return err
	}
	tag := ranked[0].Spelling(o.current)
	if order, ok := tags.Compare(o.current, tag); ok && order > 0 {
		fmt.Fprintf(s.Err, "warning: %s is above %s: sealift automate does not go down\n", oneLine(o.current), tag)
	}
	if o.output != "" {
		return printJSON(s.Out, map[string]any{"tag": tag, "text": ranked[0].Text, "spellings": ranked[0].Tags, "count": tags.Count()})
	}
	_, err = fmt.Fprintln(s.Out, tag)
	return err
}

type imagesExplainOptions struct{ policyFlags }

func newImagesExplainCommand(s streams) *cobra.Command {
	var o imagesExplainOptions
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say for each tag why a policy lets it in, or not",
		Long: `Say for each tag, on standard input, one a line, or of --image, why a policy lets it
in, or not, and which one it chooses. Warnings tell what may not be meant.

Pre-releases are out unless the range names one: -0 behind a version does.`,
		Example: `  crane ls registry.example.com/apps/shop | sealift images explain --semver '>=1.0.0-0 <2.0.0'
  sealift images explain --image registry.example.com/apps/shop --semver 1.x -o json`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, s, args) },
	}
	o.register(cmd.Flags())
	return cmd
}

// explained says of one tag what a policy makes of it.
type explainedTag struct {
	Tag    string `json:"tag"`
	In     bool   `json:"in"`
	Chosen bool   `json:"chosen,omitempty"`
	Text   string `json:"text,omitempty"`
	Reason string `json:"reason"`
}

func (o *imagesExplainOptions) run(cmd *cobra.Command, s streams, args []string) error {
	policy, err := o.policy(cmd, args)
	if err != nil {
		return err
	}
	var tags []string
	best, advice := policy.Collect(choose.Options{Keep: 1}), policy.Advise()
	err = o.tags(cmd.Context(), s.In, nil, func(tag string) {
		if len(tags) <= maxExplained {
			tags = append(tags, tag)
		}
		best.Offer(tag)
		advice.Offer(tag)
	})
	switch {
	case err != nil:
		return err
	case len(tags) > maxExplained:
		return fmt.Errorf("there are %d tags, and %d can be explained; hint: \"sealift images choose\" takes more", best.Count(), maxExplained)
	}
	chosen, warnings := "", advice.Warnings()
	ranked, err := best.Ranked()
	if err == nil {
		chosen = ranked[0].Tag()
	} else {
		warnings = append(warnings, err.Error())
	}
	return o.print(s, policy, tags, chosen, warnings)
}

func (o *imagesExplainOptions) print(s streams, policy *choose.Policy, tags []string, chosen string, warnings []string) error {
	verdicts := make([]explainedTag, 0, len(tags))
	lines := [][]string{{"TAG", "IS", "BECAUSE"}}
	for _, tag := range tags {
		v := policy.Explain(tag)
		e := explainedTag{Tag: tag, In: v.In, Chosen: v.In && tag == chosen, Reason: v.Reason}
		if v.Text != tag {
			e.Text = v.Text
		}
		verdicts = append(verdicts, e)
		lines = append(lines, e.cells())
	}
	if o.output != "" {
		return printJSON(s.Out, struct {
			Chosen   string         `json:"chosen,omitempty"`
			Tags     []explainedTag `json:"tags"`
			Warnings []string       `json:"warnings,omitempty"`
		}{chosen, verdicts, warnings})
	}
	if err := (&table{to: s.Out}).print(lines); err != nil {
		return err
	}
	for _, warning := range warnings {
		fmt.Fprintf(s.Err, "warning: %s\n", oneLine(warning))
	}
	return nil
}

func (e explainedTag) cells() []string {
	is, because := "out", e.Reason
	switch {
	case e.Chosen:
		is = "chosen"
	case e.In:
		is = "in"
	}
	if e.Text != "" {
		because = fmt.Sprintf("as %s: %s", e.Text, because)
	}
	return []string{e.Tag, is, because}
}
