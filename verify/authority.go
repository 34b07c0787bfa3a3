package verify

import (
	"fmt"
	"regexp"
	"time"

	sigstore "github.com/sigstore/sigstore/pkg/signature"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/verify/policy"
)

// authority is somebody whose signature counts: by a key or by an identity.
type authority struct {
	name     string
	key      *keyed
	identity *identity
}

// keyed is a key, with the time in which its signatures count.
type keyed struct {
	id          string
	ways        []sigstore.Verifier
	from, until time.Time // zero: no bound
}

func newKeyed(k policy.Key) (*keyed, error) {
	public, err := k.Public()
	if err != nil {
		return nil, err
	}
	ways, err := verifiers(public)
	if err != nil {
		return nil, err
	}
	return &keyed{id: public.ID, ways: ways, from: instant(k.ValidFrom), until: instant(k.ValidUntil)}, nil
}

func instant(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// outside says of a time that it is not within the key's window; empty: it is.
func (k *keyed) outside(t time.Time) string {
	switch {
	case !k.from.IsZero() && t.Before(k.from):
		return fmt.Sprintf("before validFrom, %s", utc(k.from))
	case !k.until.IsZero() && !t.Before(k.until):
		return fmt.Sprintf("not before validUntil, %s", utc(k.until))
	}
	return ""
}

// identity is what a certificate has to say.
type identity struct {
	root   *trustedRoot // nil: the verifier's
	claims []claimed
}

// claimed is one thing that a certificate has to say: literally, or in a pattern.
type claimed struct {
	field   string
	literal string
	pattern *regexp.Regexp // nil: literal
	of      func(Certificate) string
}

func (c *compiler) identity(k policy.Keyless) (*identity, error) {
	who := &identity{root: c.roots.own}
	if k.TrustedRoot != nil {
		named, err := c.roots.read([]byte(k.TrustedRoot.Data))
		if err != nil {
			return nil, fmt.Errorf("keyless.trustedRoot: %w", err)
		}
		who.root = named
	}
	for _, f := range []struct {
		name, literal, pattern string
		of                     func(Certificate) string
	}{
		{"issuer", k.Issuer, k.IssuerRegexp, func(c Certificate) string { return c.Issuer }},
		{"subject", k.Subject, k.SubjectRegexp, func(c Certificate) string { return c.Subject }},
		{"sourceRepository", k.SourceRepository, k.SourceRepositoryRegexp, func(c Certificate) string { return c.SourceRepository }},
		{"sourceRef", k.SourceRef, k.SourceRefRegexp, func(c Certificate) string { return c.SourceRef }},
		{"buildTrigger", k.BuildTrigger, "", func(c Certificate) string { return c.BuildTrigger }},
		{"runnerEnvironment", k.RunnerEnvironment, "", func(c Certificate) string { return c.RunnerEnvironment }},
	} {
		one := claimed{field: f.name, literal: f.literal, of: f.of}
		if f.pattern != "" {
			pattern, err := policy.Anchored(f.pattern)
			if err != nil {
				return nil, fmt.Errorf("keyless.%sRegexp: %w", f.name, err)
			}
			one.field, one.pattern = f.name+"Regexp", pattern
			one.literal = f.pattern
		}
		if one.literal != "" {
			who.claims = append(who.claims, one)
		}
	}
	return who, nil
}

// differs is the first claim that the certificate does not meet, and how many it
// meets before; nil: it meets all.
func (i *identity) differs(c Certificate) (*claimed, int) {
	for n, claim := range i.claims {
		got := claim.of(c)
		if claim.pattern != nil && (got == "" || !claim.pattern.MatchString(got)) || claim.pattern == nil && got != claim.literal {
			return &i.claims[n], n
		}
	}
	return nil, len(i.claims)
}

// Certificate is what the certificate of a keyless signature says, in the words of
// https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md.
type Certificate struct {
	Issuer            string `json:"issuer"`
	Subject           string `json:"subject"`
	SourceRepository  string `json:"sourceRepository,omitempty"`
	SourceRef         string `json:"sourceRef,omitempty"`
	SourceDigest      string `json:"sourceDigest,omitempty"` // the commit
	BuildTrigger      string `json:"buildTrigger,omitempty"`
	RunnerEnvironment string `json:"runnerEnvironment,omitempty"`
}

// principal is the one behind a signature: where several have to sign, each counts
// once, whichever authorities it matches. It is a key; or an issuer with a subject,
// where a workflow is one whatever ref it ran at.
func (s Signer) principal() string {
	if s.KeyID != "" {
		return "key " + s.KeyID
	}
	return fmt.Sprintf("identity %q %q", s.Certificate.Issuer, policy.Workflow(s.Certificate.Subject))
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
