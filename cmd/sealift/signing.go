package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"sealift.dev/artifact"
	"sealift.dev/publisher"
	"sealift.dev/publisher/attest"
	"sealift.dev/publisher/signer"
	"sealift.dev/publisher/signer/identity"
	"sealift.dev/publisher/signer/kms"
	"sealift.dev/verify"
)

// keyPasswordVar is the variable that cosign uses, too.
const keyPasswordVar = "COSIGN_PASSWORD"

// signingFlags say with what releases are signed, and what is attested of them.
type signingFlags struct {
	key        string
	token      string
	instance   string
	root       rootFlags
	provenance bool
	bill       bool
}

func (f *signingFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.key, "key", "", "private key: a file, such as cosign.key, or awskms://, gcpkms://, azurekms://, hashivault:// (default none: the machine's identity signs)")
	flags.StringVar(&f.token, "identity-token", "", "file with the identity token to sign with (default what "+identity.EnvToken+", GitHub Actions or "+identity.DefaultFile+" gives)")
	flags.StringVar(&f.instance, "signing-config", "", "signing config of the Sigstore instance to sign with (default with --key none, else that of the public instance)")
	f.root.register(flags)
	flags.BoolVar(&f.provenance, "provenance", true, "attest how the release was made, as SLSA provenance")
	flags.BoolVar(&f.bill, "bill", false, "attest which images are in it, as a CycloneDX bill")
}

func (f *signingFlags) check() error {
	if f.key != "" && f.token != "" {
		return usage(errors.New("--key and --identity-token exclude each other: either a key signs, or an identity"))
	}
	return nil
}

// connect makes what signs, reads signatures back, and attests; without attestations
// the last is nil.
func (f *signingFlags) connect(ctx context.Context, s streams, registry *artifact.Registry) (publisher.Signer, publisher.Verifier, publisher.Attester, error) {
	by, err := f.signer(ctx, s, registry)
	if err != nil {
		return nil, nil, nil, err
	}
	if !f.provenance && !f.bill {
		return by, by, nil, nil
	}
	return by, by, attester{by: by, run: attest.RunOf(os.Getenv, version), provenance: f.provenance, bill: f.bill}, nil
}

func (f *signingFlags) signer(ctx context.Context, s streams, registry *artifact.Registry) (*signer.Signer, error) {
	if f.key == "" {
		return f.keyless(ctx, s, registry)
	}
	key, err := loadKey(ctx, s, f.key)
	if err != nil {
		return nil, err
	}
	if f.instance == "" {
		return signer.New(key, registry), nil
	}
	instance, err := readInstance(f.instance)
	if err != nil {
		return nil, err
	}
	verifier, err := f.verifier()
	if err != nil {
		return nil, err
	}
	return signer.NewWitnessed(key, instance, verifier, registry), nil
}

// keyless signs with the machine's identity, and says as whom.
func (f *signingFlags) keyless(ctx context.Context, s streams, registry *artifact.Registry) (*signer.Signer, error) {
	source := identity.Source{File: f.token, UserAgent: userAgent()}
	token, err := source.Token(ctx)
	if errors.Is(err, identity.ErrNone) {
		return nil, usage(fmt.Errorf("nothing to sign with: there is no --key, and %w; hint: make a key pair with sealift keys generate", err))
	}
	if err != nil {
		return nil, err
	}
	verifier, err := f.verifier()
	if err != nil {
		return nil, err
	}
	keyless := signer.Keyless{Token: source.Token, Verifier: verifier, Instance: f.publicInstance}
	if f.instance != "" {
		instance, err := readInstance(f.instance)
		if err != nil {
			return nil, err
		}
		keyless.Instance = func(context.Context) (*signer.Instance, error) { return instance, nil }
	}
	fmt.Fprintf(s.Err, "signing as %s\n", token)
	return signer.NewKeyless(keyless, registry), nil
}

func (f *signingFlags) verifier() (*verify.Verifier, error) {
	options, err := f.root.options()
	if err != nil {
		return nil, err
	}
	return verify.New(options)
}

// publicInstance is fetched only where there is something to sign.
func (f *signingFlags) publicInstance(ctx context.Context) (*signer.Instance, error) {
	options, err := f.root.options()
	if err != nil {
		return nil, err
	}
	if options.Public == nil {
		return nil, usage(errors.New("--trusted-root names an instance to verify with, but none to sign with; hint: name it with --signing-config"))
	}
	return signer.FetchInstance(ctx, *options.Public)
}

func readInstance(path string) (*signer.Instance, error) {
	data, err := readBounded(path, signer.MaxSigningConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the signing config: %w", err)
	}
	instance, err := signer.ParseInstance(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return instance, nil
}

// attester attests with the key or identity that signs.
type attester struct {
	by               *signer.Signer
	run              attest.Run
	provenance, bill bool
}

// Attest implements publisher.Attester.
func (a attester) Attest(ctx context.Context, ref artifact.Ref, b publisher.Build) (wrote bool, err error) {
	if a.provenance {
		if wrote, err = a.by.Attest(ctx, ref, attest.ProvenanceType, attest.ProvenanceOf(b, a.run, time.Now())); err != nil {
			return wrote, err
		}
	}
	if !a.bill {
		return wrote, nil
	}
	bill, err := attest.BillOf(ref, b, a.run)
	if err != nil {
		return wrote, fmt.Errorf("writing the bill of images of %s: %w", ref, err)
	}
	billed, err := a.by.Attest(ctx, ref, attest.BillType, bill)
	return wrote || billed, err
}

func loadKey(ctx context.Context, s streams, path string) (*signer.Key, error) {
	if kms.Is(path) {
		return kms.Open(ctx, path)
	}
	if strings.Contains(path, "-----BEGIN") { // which must not become a path in an error
		return nil, usage(errors.New("--key: a key is there in place of the name of its file; hint: write it to a file"))
	}
	data, err := readBounded(path, maxPolicyBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	key, err := signer.Load(data, func() ([]byte, error) { return password(ctx, s, path) })
	if err != nil {
		return nil, fmt.Errorf("loading the key %s: %w", path, err)
	}
	return key, nil
}

// password comes from the environment, or from a person at a terminal.
func password(ctx context.Context, s streams, path string) ([]byte, error) {
	if value, set := os.LookupEnv(keyPasswordVar); set {
		return []byte(value), nil
	}
	terminal, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return nil, fmt.Errorf("the key is encrypted, and there is no terminal to ask for its password; hint: set %s", keyPasswordVar)
	}
	return prompt(ctx, s, int(terminal.Fd()), "Password for "+path)
}

func prompt(ctx context.Context, s streams, fd int, question string) ([]byte, error) {
	fmt.Fprint(s.Err, question+": ")
	defer fmt.Fprintln(s.Err)
	return ask(ctx, fd)
}

// ask reads a line that the terminal does not show. When ctx ends, the terminal shows
// again what is typed; the reading cannot be ended, and lasts as long as the process.
func ask(ctx context.Context, fd int) ([]byte, error) {
	type answer struct {
		text []byte
		err  error
	}
	state, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(fd, state))
	}
}
