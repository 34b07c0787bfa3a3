package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sealift.dev/internal/inspection"
	"sealift.dev/internal/text"
)

type inspectOptions struct {
	registry registryFlags
	raw      bool
	output   string
}

func newInspectCommand(s streams) *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect oci://HOST/REPOSITORY:TAG",
		Short: "Show what is in a release, and what refers to it",
		Long: `Show a release: its statement, environments and images, the signatures that are
there, and everything else that refers to it.

Nothing is verified: who a signature says it is by, is a claim. Use "sealift
verify" to learn whom to believe.`,
		Example: `  sealift inspect oci://registry.example.com/deploy/shop:main
  sealift inspect oci://registry.example.com/deploy/shop:main -o yaml`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	flags := cmd.Flags()
	o.registry.register(flags)
	flags.BoolVar(&o.raw, "raw", false, "print the manifest's bytes, and nothing else")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json, yaml")
	return cmd
}

func (o *inspectOptions) run(ctx context.Context, s streams, address string) error {
	if err := checkOutput(o.output, "", "json", "yaml"); err != nil {
		return err
	}
	if o.raw && o.output != "" {
		return usage(errors.New("--raw goes without -o"))
	}
	registry, err := o.registry.connect()
	if err != nil {
		return err
	}
	ref, err := resolve(ctx, registry, address)
	if err != nil {
		return err
	}
	if o.raw {
		m, err := registry.Manifest(ctx, ref)
		if err != nil {
			return err
		}
		if isTerminal(s.Out) {
			_, err = io.WriteString(s.Out, printable(string(m.Raw))+"\n")
			return err
		}
		_, err = s.Out.Write(m.Raw)
		return err
	}
	report, err := inspection.Release(ctx, registry, ref)
	if err != nil {
		return err
	}
	if o.output != "" {
		return printDocument(s.Out, o.output, report)
	}
	return printReport(s.Out, report)
}

// printReport writes for people; each value is on a line of its own, whatever is in it.
func printReport(w io.Writer, r inspection.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name string, values ...string) {
		if strings.Join(values, "") == "" {
			return
		}
		for i, value := range values {
			values[i] = oneLine(value)
		}
		fmt.Fprintf(table, "%s\t%s\n", name, strings.Join(values, "\t"))
	}
	line("Reference", r.Reference)
	line("Verified", `no: nothing here was verified; hint: "sealift verify" does`)
	line("Type", orElse(r.ArtifactType, r.MediaType))
	line("Source", r.Statement.Source)
	line("Revision", r.Statement.Revision)
	line("Git ref", r.Statement.Ref)
	line("Version", r.Statement.Version)
	if !r.Statement.Created.IsZero() {
		line("Created", r.Statement.Created.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	if r.Statement.Sequence > 0 {
		line("Sequence", fmt.Sprintf("%d (epoch %d)", r.Statement.Sequence, r.Statement.Epoch))
	}
	line("Published to", r.Statement.Repository)
	for _, e := range r.Environments {
		line("Environment", fmt.Sprintf("%s: %s, %s", e.Name, text.Count(e.Objects, "object", "objects"), e.Digest))
	}
	for _, image := range r.Images {
		line("Image", imageName(image)+detail(" (%s)", strings.Join(image.Platforms, ", "))+detail(", signed by %s when published", strings.Join(image.SignedBy, ", ")))
	}
	for _, signature := range r.Signatures {
		line("Signature", describeSignature(signature))
	}
	for _, referrer := range r.Referrers {
		line("Referrer", orElse(referrer.ArtifactType, "of no type")+detail(", %s", referrer.PredicateType)+", "+referrer.Digest.String())
	}
	for _, problem := range r.Problems {
		line("Problem", problem)
	}
	return table.Flush()
}

func describeSignature(s inspection.Signature) string {
	told := s.Format + ", " + s.Digest.String() +
		detail(", claims to be by %q", s.Identity) + detail(" of %q", s.Issuer) + detail(", key hint %q", s.KeyHint)
	return told + detail("; it cannot be read: %s", s.Problem)
}

// detail is format with value in it, or nothing without a value.
func detail(format, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf(format, value)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// oneLine is s without line breaks, and without what speaks to the terminal.
func oneLine(s string) string {
	const most = 4096
	return text.Line(s, most)
}
