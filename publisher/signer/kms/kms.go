// Package kms signs with keys that a key management service holds. It alone knows the
// services' libraries. References to keys come from the command line only: never from
// a policy, a release, or anything else that a stranger wrote.
package kms

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	sigstore "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/aws"
	"github.com/sigstore/sigstore/pkg/signature/kms/azure"
	"github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	"github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"sealift.dev/publisher/signer"
)

// patience is how long a service may take for one answer, its library's own attempts
// included.
const patience = time.Minute

// service is one kind of key management service.
type service struct {
	name   string
	scheme string
	// open may keep ctx for as long as the key is used.
	open func(ctx context.Context, uri string) (sigstore.Signer, error)
	// prepare says what is missing before the library is asked.
	prepare func() error
}

func services() []service {
	return []service{
		{name: "AWS KMS", scheme: aws.ReferenceScheme, open: func(ctx context.Context, uri string) (sigstore.Signer, error) {
			return opened(aws.LoadSignerVerifier(ctx, uri))
		}},
		{name: "Google Cloud KMS", scheme: gcp.ReferenceScheme, open: func(ctx context.Context, uri string) (sigstore.Signer, error) {
			return opened(gcp.LoadSignerVerifier(ctx, uri))
		}},
		{name: "Azure Key Vault", scheme: azure.ReferenceScheme, open: func(ctx context.Context, uri string) (sigstore.Signer, error) {
			return opened(azure.LoadSignerVerifier(ctx, uri))
		}},
		{name: "Vault", scheme: hashivault.ReferenceScheme, prepare: vaultAddress, open: openVault},
		{name: "OpenBao", scheme: hashivault.AlternativeScheme, prepare: vaultAddress, open: openVault},
	}
}

// opened keeps a nil pointer from becoming a Signer.
func opened[T sigstore.Signer](key T, err error) (sigstore.Signer, error) {
	if err != nil {
		return nil, err
	}
	return key, nil
}

func openVault(_ context.Context, uri string) (sigstore.Signer, error) {
	key, err := hashivault.LoadSignerVerifier(uri, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey()
	if _, unhashed := public.(ed25519.PublicKey); unhashed {
		return opened(hashivault.LoadSignerVerifier(uri, crypto.Hash(0)))
	}
	return opened(key, err)
}

func vaultAddress() error {
	if os.Getenv("VAULT_ADDR") == "" && os.Getenv("BAO_ADDR") == "" {
		return errors.New("its address is not known; hint: set VAULT_ADDR, and VAULT_TOKEN")
	}
	return nil
}

// Is says whether a key reference names a service rather than a file.
func Is(reference string) bool { return strings.Contains(reference, "://") }

// Open finds the key that uri names: awskms://, gcpkms://, azurekms://, hashivault://
// or openbao://, in cosign's spelling. Address and credentials come from the
// environment, as each service's own tools read them. The key must be of a kind that
// trust policies allow.
func Open(ctx context.Context, uri string) (*signer.Key, error) {
	s, err := find(uri)
	if err != nil {
		return nil, err
	}
	key, err := s.key(ctx, uri)
	if err != nil {
		return nil, fmt.Errorf("opening the key %q in %s: %w", uri, s.name, err)
	}
	return key, nil
}

func find(uri string) (service, error) {
	var schemes []string
	for _, s := range services() {
		if strings.HasPrefix(uri, s.scheme) {
			return s, nil
		}
		schemes = append(schemes, s.scheme)
	}
	return service{}, fmt.Errorf("opening the key %q: no key management service has that scheme; hint: one of %s", uri, strings.Join(schemes, " "))
}

func (s service) key(ctx context.Context, uri string) (*signer.Key, error) {
	if s.prepare != nil {
		if err := s.prepare(); err != nil {
			return nil, err
		}
	}
	held, err := within(ctx, func(context.Context) (sigstore.Signer, error) { return s.open(ctx, uri) })
	if err != nil {
		return nil, err
	}
	public, err := within(ctx, func(ctx context.Context) (crypto.PublicKey, error) {
		return held.PublicKey(options.WithContext(ctx))
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the public key: %w", err)
	}
	return signer.NewKey(public, bounded{Signer: held, service: s.name, uri: uri})
}

// bounded is a key whose service answers in time, or not at all.
type bounded struct {
	sigstore.Signer
	service, uri string
}

// SignMessage signs what message holds, with the context among the options.
func (b bounded) SignMessage(message io.Reader, given ...sigstore.SignOption) ([]byte, error) {
	ctx := context.Background()
	for _, option := range given {
		option.ApplyContext(&ctx)
	}
	signature, err := within(ctx, func(ctx context.Context) ([]byte, error) {
		return b.Signer.SignMessage(message, append(given, options.WithContext(ctx))...)
	})
	if err != nil {
		return nil, fmt.Errorf("signing with the key %q in %s: %w", b.uri, b.service, err)
	}
	return signature, nil
}

// within bounds a call. Vault's library takes no context: a call that is given up on
// goes on by itself until the library's own time-out, and its answer is dropped.
func within[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s", patience))
	defer cancel()
	answers := make(chan answer, 1)
	go func() {
		value, err := call(ctx)
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
