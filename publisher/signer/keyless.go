package signer

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"sealift.dev/artifact"
	"sealift.dev/publisher/signer/identity"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// Keyless says how to sign with an identity. All fields but Told are needed.
type Keyless struct {
	// Token gives an identity token, a new one where the last is about to expire.
	Token func(context.Context) (identity.Token, error)
	// Instance gives the services; it is asked when they are needed.
	Instance func(context.Context) (*Instance, error)
	// Verifier trusts the root of that instance.
	Verifier *verify.Verifier
}

// NewKeyless returns a Signer with an identity: it makes a key of its own, which
// nobody keeps, and a certificate authority says for some minutes whose it is.
func NewKeyless(k Keyless, registry Registry) *Signer {
	return &Signer{author: &holder{Keyless: k}, registry: registry, verifier: k.Verifier}
}

// Identity is as whom the Signer signs: the issuer and the subject that a policy
// names. Both are empty for a key.
func (s *Signer) Identity(ctx context.Context) (issuer, subject string, err error) {
	who, err := s.author.known(ctx)
	if err != nil || who.Keyless == nil {
		return "", "", err
	}
	return who.Keyless.Issuer, who.Keyless.Subject, nil
}

// holder is an identity as an author.
type holder struct {
	Keyless

	mu       sync.Mutex
	token    identity.Token
	instance *Instance
	issuer   string // from the certificate, or else from the token; empty: unknown yet
	subject  string
	pen      pen
	until    time.Time // the certificate's end
}

func (h *holder) formats(ctx context.Context) ([]policy.Format, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, err := h.services(ctx)
	if err != nil {
		return nil, err
	}
	if s.logVersion == 1 {
		return []policy.Format{policy.Bundle, policy.Legacy}, nil
	}
	return []policy.Format{policy.Bundle}, nil
}

// services asks for the instance once. The caller holds mu.
func (h *holder) services(ctx context.Context) (services, error) {
	if h.instance == nil {
		instance, err := h.Instance(ctx)
		if err != nil {
			return services{}, err
		}
		h.instance = instance
	}
	s, err := h.instance.choose(ctx, time.Now())
	if err != nil {
		return services{}, err
	}
	return s, s.keylessProblem()
}

func (h *holder) known(ctx context.Context) (policy.Authority, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.issuer == "" {
		token, err := h.current(ctx)
		if err != nil {
			return policy.Authority{}, err
		}
		h.issuer, h.subject = token.Issuer, token.Subject
	}
	return policy.Authority{Name: "identity", Keyless: &policy.Keyless{Issuer: h.issuer, Subject: h.subject}}, nil
}

// renewBefore is how long a token or a certificate must still be good for.
const renewBefore = 2 * time.Minute

// current is a token that is still good for a while. The caller holds mu.
func (h *holder) current(ctx context.Context) (identity.Token, error) {
	if time.Until(h.token.Expires) > renewBefore {
		return h.token, nil
	}
	token, err := h.Token(ctx)
	if err != nil {
		return identity.Token{}, err
	}
	h.token = token
	return token, nil
}

// suits compares commits: the certificate will name the one that the job runs for, and
// what is in a log is there for everybody to read.
func (h *holder) suits(ctx context.Context, told func() (artifact.Statement, error)) error {
	h.mu.Lock()
	token, err := h.current(ctx)
	h.mu.Unlock()
	if err != nil || token.Commit == "" {
		return err
	}
	s, err := told()
	if err != nil || s.Commit() == "" || token.Commit == s.Commit() {
		return err
	}
	return fmt.Errorf("the identity token is of a job for the commit %q, and the release is of %q; hint: publish the commit that the job runs for", token.Commit, s.Commit())
}

// pick asks for a certificate, unless the last one is still good.
func (h *holder) pick(ctx context.Context) (p pen, renamed bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Until(h.until) > renewBefore {
		return h.pen, false, nil
	}
	s, err := h.services(ctx)
	if err != nil {
		return pen{}, false, err
	}
	token, err := h.current(ctx)
	if err != nil {
		return pen{}, false, err
	}
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return pen{}, false, fmt.Errorf("making a key: %w", err)
	}
	var der []byte
	err = guard(func() (err error) {
		der, err = s.authority.GetCertificate(ctx, pair, &sign.CertificateProviderOptions{IDToken: token.Secret()})
		return err
	})
	if err != nil {
		return pen{}, false, fmt.Errorf("asking for a certificate for %s: %w", token, hide(plain(err), "bearer "+token.Secret()))
	}
	issuer, subject := h.issuer, h.subject
	p, err = h.take(pair, der)
	return p, issuer != h.issuer || subject != h.subject, err
}

// take reads from the certificate as whom it lets sign.
func (h *holder) take(pair sign.Keypair, der []byte) (pen, error) {
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return pen{}, fmt.Errorf("reading the certificate: %w", err)
	}
	if own, ok := pair.GetPublicKey().(*ecdsa.PublicKey); !ok || !own.Equal(parsed.PublicKey) {
		return pen{}, errors.New("the certificate is for another key than the one that was sent")
	}
	summary, err := certificate.SummarizeCertificate(parsed)
	if err != nil {
		return pen{}, fmt.Errorf("reading the certificate: %w", err)
	}
	if summary.Issuer == "" {
		return pen{}, errors.New("the certificate names no issuer")
	}
	h.issuer, h.subject = summary.Issuer, summary.SubjectAlternativeName
	h.pen = pen{pair: pair, certificate: der, instance: h.instance}
	h.until = parsed.NotAfter
	return h.pen, nil
}
