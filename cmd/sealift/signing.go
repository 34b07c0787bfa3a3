package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"sealift.dev/artifact"
	"sealift.dev/publisher"
	"sealift.dev/publisher/signer"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// keyPasswordVar is the variable that cosign uses, too.
const keyPasswordVar = "COSIGN_PASSWORD"

// signingFlags say with what releases are signed.
type signingFlags struct {
	key string
}

func (f *signingFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.key, "key", "", "file with the private key, such as cosign.key (required)")
}

func (f *signingFlags) check() error {
	if f.key == "" {
		return usage(errors.New("--key is missing; hint: make a key pair with cosign generate-key-pair"))
	}
	return nil
}

// connect makes what signs, reads signatures back, and attests; without attestations
// the last is nil.
func (f *signingFlags) connect(ctx context.Context, s streams, registry *artifact.Registry) (publisher.Signer, publisher.Verifier, publisher.Attester, error) {
	key, err := loadKey(ctx, s, f.key)
	if err != nil {
		return nil, nil, nil, err
	}
	own, err := policy.OfKey(key.Public())
	if err != nil {
		return nil, nil, nil, err
	}
	verifier, err := verify.New(verify.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	return signer.New(key, registry), ownVerifier{Verifier: verifier, registry: registry, policies: []verify.NamedPolicy{own}}, nil, nil
}

// ownVerifier reads a signature back: the release is ours if our own key signed it.
type ownVerifier struct {
	*verify.Verifier
	registry verify.Registry
	policies []verify.NamedPolicy
}

func (v ownVerifier) Verify(ctx context.Context, ref artifact.Ref) error {
	_, err := v.Release(ctx, v.registry, ref, v.policies, verify.Claim{})
	return err
}

func loadKey(ctx context.Context, s streams, path string) (*signer.Key, error) {
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
