package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealift.dev/artifact"
	"sealift.dev/verify"
)

type verifyOptions struct {
	registry registryFlags
	trust    trustFlags
	output   string
}

func newVerifyCommand(s streams) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify oci://HOST/REPOSITORY:TAG",
		Short: "Say who signed a release, and from which commit",
		Long: `Verify a release with the code that the synchronizer uses: its signatures under
a trust policy, a public key or an identity, and the statement that they cover.

Exit code 3 means that the release is not trusted.`,
		Example: `  # Under the policy that the cluster enforces
  sealift verify oci://registry.example.com/deploy/shop:main --policy trust.yaml

  # With one public key
  sealift verify oci://registry.example.com/deploy/shop:main --key cosign.pub

  # By one workflow, without a key
  sealift verify oci://registry.example.com/deploy/shop:main \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com \
    --certificate-identity https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	flags := cmd.Flags()
	o.registry.register(flags)
	o.trust.register(flags)
	flags.StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

func (o *verifyOptions) run(ctx context.Context, s streams, address string) error {
	if o.output != "" && o.output != "json" {
		return usage(errors.New(`-o: only "json" is known`))
	}
	verifier, policies, err := o.trust.connect(ctx)
	if err != nil {
		return err
	}
	registry, err := o.registry.connect()
	if err != nil {
		return err
	}
	ref, err := resolve(ctx, registry, address)
	if err != nil {
		return err
	}
	verified, err := verifier.Release(ctx, registry, ref, policies, verify.Claim{})
	if err != nil {
		return o.printRefusal(s, err)
	}
	if o.output == "json" {
		return printJSON(s.Out, verified)
	}
	return printVerified(s.Out, verified)
}

// printRefusal writes the whole verdict for programs; people read the error.
func (o *verifyOptions) printRefusal(s streams, err error) error {
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	if o.output == "json" {
		return errors.Join(err, printJSON(s.Out, refusal))
	}
	for _, detail := range refusal.Details() {
		fmt.Fprintf(s.Err, "  %s %s: %s\n", detail.Format, detail.Digest, oneLine(detail.Problem))
	}
	return err
}

func printVerified(w io.Writer, v verify.Verified) error {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(row(name, value)) }
	statement := v.Statement()
	line("Verified", v.Ref().String())
	for _, signer := range v.Signers() {
		line("Signed by", fmt.Sprintf("%s (%s, %s)", signer.Authority, signer.Format, whose(signer)))
	}
	for _, verdict := range v.Verdicts() {
		for _, attested := range verdict.Attestations {
			line("Attested", fmt.Sprintf("%s by %s (%s)", attested.PredicateType, attested.Authority, whose(attested.Signer)))
		}
	}
	if mirror := v.Mirror(); mirror.Of != "" {
		line("Mirror", fmt.Sprintf("%s, of %s", mirror.At, mirror.Of))
	}
	line("Source", statement.Source)
	line("Revision", statement.Revision)
	line("Version", statement.Version)
	if statement.Sequence > 0 {
		line("Sequence", fmt.Sprintf("%d (epoch %d)", statement.Sequence, statement.Epoch))
	}
	if !v.Until().IsZero() {
		line("Until", v.Until().UTC().Format(time.RFC3339))
	}
	for _, finding := range v.Findings() {
		line("Audit", finding)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// row is one line, whatever value holds: a line break in what a publisher wrote would
// otherwise begin a row of its own, such as another signer's.
func row(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf("%-10s %s\n", name, oneLine(value))
}

// whose says by which key or identity a signature is, and since when it was there.
func whose(s verify.Signer) string {
	who := fmt.Sprintf("key %.16s", s.KeyID)
	if s.KeyID == "" {
		who = fmt.Sprintf("%s of %s", s.Certificate.Subject, s.Certificate.Issuer)
	}
	if !s.Time.IsZero() {
		who += fmt.Sprintf(", %s by its %s", s.Time.Format(time.RFC3339), s.TimeFrom)
	}
	return who
}

// resolve asks the registry what a tag stands for; a digest stands for itself.
func resolve(ctx context.Context, registry *artifact.Registry, address string) (artifact.Ref, error) {
	parsed, err := artifact.ParseAddress(address)
	if err != nil {
		return artifact.Ref{}, usage(err)
	}
	if parsed.Digest != "" {
		return parsed.Repository.At(parsed.Digest), nil
	}
	if parsed.Tag == "" {
		return artifact.Ref{}, usage(fmt.Errorf("%s: a tag or digest is missing; hint: write %s%s:main", address, artifact.Scheme, parsed.Repository))
	}
	return registry.Resolve(ctx, parsed.Repository, parsed.Tag)
}

// readBounded reads a file that may be a pipe, and refuses one over limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than the limit of %d bytes", path, limit)
	}
	return data, nil
}
