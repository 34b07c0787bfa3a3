package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/util/validation"

	"sealift.dev/artifact"
	"sealift.dev/publisher/signer"
	"sealift.dev/verify/policy"
)

func newKeysCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make key pairs for signing",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysGenerateCommand(s))
	return cmd
}

type keysGenerateOptions struct {
	kind       string
	prefix     string
	repository string
	name       string
	output     string
}

// keyPair is what keys generate tells.
type keyPair struct {
	PrivateKey string `json:"privateKey"` // path
	PublicKey  string `json:"publicKey"`  // path
	KeyID      string `json:"keyID"`      // hex-encoded SHA-256 of the public key in PKIX form
	Policy     string `json:"policy"`     // a TrustPolicy in YAML
}

func newKeysGenerateCommand(s streams) *cobra.Command {
	var o keysGenerateOptions
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make a key pair, and print the TrustPolicy to paste",
		Long: `Make a key pair that sealift and cosign sign with: PREFIX.key, encrypted with a
password, and PREFIX.pub. Files that are there are never overwritten. The password
is read from ` + keyPasswordVar + `, or asked for on a terminal, twice.

The TrustPolicy for that key goes to standard output.`,
		Example: `  sealift keys generate --repository registry.example.com/deploy/shop > trust.yaml`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kind, "type", signer.KeyTypes()[0], "type of the key: "+strings.Join(signer.KeyTypes(), ", "))
	flags.StringVar(&o.prefix, "output-prefix", "cosign", "path of the files, without .key and .pub")
	flags.StringVar(&o.repository, "repository", "", "repository that the policy is for: HOST/PATH, which may end with /** (default all)")
	flags.StringVar(&o.name, "name", "", "name of the policy and of the signer in it (default the last part of --repository, else release)")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

func (o *keysGenerateOptions) run(ctx context.Context, s streams) error {
	if err := o.complete(); err != nil {
		return err
	}
	pair := keyPair{PrivateKey: o.prefix + ".key", PublicKey: o.prefix + ".pub"}
	for _, path := range []string{pair.PrivateKey, pair.PublicKey} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("making the key pair: %s is there, and is not overwritten; hint: --output-prefix", path)
		}
	}
	secret, err := newPassword(ctx, s, pair.PrivateKey)
	if err != nil {
		return err
	}
	key, sealed, err := signer.Generate(o.kind, secret)
	if err != nil {
		return err
	}
	pair.KeyID = key.ID()
	if pair.Policy, err = o.policy(key); err != nil {
		return err
	}
	if err := pair.write(sealed, key.Public()); err != nil {
		return fmt.Errorf("making the key pair: %w", err)
	}
	if o.output == "json" {
		return printJSON(s.Out, pair)
	}
	fmt.Fprintf(s.Err, "private key %s: keep it, and its password, from others\npublic key  %s (%.16s)\n", pair.PrivateKey, pair.PublicKey, pair.KeyID)
	_, err = fmt.Fprint(s.Out, pair.Policy)
	return err
}

func (o *keysGenerateOptions) complete() error {
	if o.output != "" && o.output != "json" {
		return usage(errors.New(`-o: only "json" is known`))
	}
	o.repository = strings.TrimPrefix(o.repository, artifact.Scheme)
	if o.name == "" {
		parts := strings.FieldsFunc(o.repository, func(r rune) bool { return r == '/' || r == '*' })
		if o.name = "release"; len(parts) > 1 {
			o.name = parts[len(parts)-1]
		}
	}
	// The label's grammar, which suits objects and authorities.
	if problems := validation.IsDNS1123Label(o.name); len(problems) > 0 {
		return usage(fmt.Errorf("--name %q: %s", o.name, problems[0]))
	}
	return nil
}

// policy is the TrustPolicy to paste, which has been read back.
func (o *keysGenerateOptions) policy(key *signer.Key) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata:\n  name: %s\nspec:\n  mode: Enforce\n", o.name)
	if o.repository != "" {
		fmt.Fprintf(&b, "  match:\n    repositories: [%q]\n", o.repository)
	}
	fmt.Fprintf(&b, "  authorities:\n    - name: %s\n      key:\n        data: |\n", o.name)
	for line := range strings.Lines(string(key.Public())) {
		b.WriteString("          " + line)
	}
	if _, err := policy.Parse([]byte(b.String())); err != nil {
		return "", usage(fmt.Errorf("--repository %q: %w", o.repository, err))
	}
	return b.String(), nil
}

// write makes both files or none.
func (p keyPair) write(private, public []byte) error {
	if err := writeNew(p.PrivateKey, private, 0o600); err != nil {
		return err
	}
	if err := writeNew(p.PublicKey, public, 0o644); err != nil {
		return errors.Join(err, os.Remove(p.PrivateKey))
	}
	return nil
}

// writeNew writes a file that must not be there before; a half-written one is removed.
func writeNew(path string, data []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// newPassword comes from the environment, or twice from a person at a terminal.
func newPassword(ctx context.Context, s streams, path string) ([]byte, error) {
	if value, set := os.LookupEnv(keyPasswordVar); set {
		return []byte(value), nil
	}
	terminal, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return nil, fmt.Errorf("a private key needs a password, and there is no terminal to ask for it; hint: set %s", keyPasswordVar)
	}
	first, err := prompt(ctx, s, int(terminal.Fd()), "New password for "+path)
	if err != nil {
		return nil, err
	}
	second, err := prompt(ctx, s, int(terminal.Fd()), "Once more")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the passwords differ; no key was made")
	}
	return first, nil
}
