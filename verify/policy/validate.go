package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	maxEntries      = 256
	maxPatternBytes = 512
)

// WithDefaults is p with mode Enforce, formats [bundle] and atLeast 1 where they
// are not set.
func (p Policy) WithDefaults() Policy {
	if p.Mode == "" {
		p.Mode = Enforce
	}
	p.Trust = p.Trust.WithDefaults()
	return p
}

// WithDefaults is t with formats [bundle] and atLeast 1 where they are not set.
func (t Trust) WithDefaults() Trust {
	if len(t.Formats) == 0 {
		t.Formats = []Format{Bundle}
	}
	if t.Require.AtLeast == 0 {
		t.Require.AtLeast = 1
	}
	return t
}

// Validate reports what is wrong with a policy, its defaults applied. A reference
// to a Secret that is not resolved is wrong, too.
func (p Policy) Validate() error {
	if err := p.check(); err != nil {
		return err
	}
	for _, b := range p.blanks() {
		return fmt.Errorf("%s is in the Secret %q, and %w", b.what, (*b.ref).Name, errSecret)
	}
	return nil
}

// check is Validate, but leaves references to Secrets alone.
func (p Policy) check() error {
	p = p.WithDefaults()
	if p.Mode != Enforce && p.Mode != Audit {
		return fmt.Errorf("mode %q is not known; hint: write Enforce or Audit", p.Mode)
	}
	if err := p.Match.validate(); err != nil {
		return fmt.Errorf("match: %w", err)
	}
	if err := p.Trust.check(); err != nil {
		return err
	}
	if err := p.Source.validate(); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if len(p.Attestations) > maxAttestations {
		return fmt.Errorf("%d attestations are more than the limit of %d", len(p.Attestations), maxAttestations)
	}
	for i, attestation := range p.Attestations {
		if err := attestation.validate(p.Authorities); err != nil {
			return fmt.Errorf("attestation %d (%.80q): %w", i+1, attestation.PredicateType, err)
		}
	}
	if err := validateMirrors(p.Mirrors); err != nil {
		return fmt.Errorf("mirrors: %w", err)
	}
	if err := p.Revoked.validate(); err != nil {
		return fmt.Errorf("revoked: %w", err)
	}
	return nil
}

// Validate is Policy.Validate for a trust alone.
func (t Trust) Validate() error { return Policy{Trust: t}.Validate() }

func (t Trust) check() error {
	for i, format := range t.Formats {
		if format != Bundle && format != Legacy {
			return fmt.Errorf("format %q is not known; hint: write bundle or legacy", format)
		}
		if slices.Contains(t.Formats[:i], format) {
			return fmt.Errorf("format %q is listed twice", format)
		}
	}
	if len(t.Authorities) == 0 {
		return errors.New("no authorities are listed, so nobody could sign; hint: add one with a name and a key, or keyless")
	}
	if len(t.Authorities) > maxAuthorities {
		return fmt.Errorf("%d authorities are more than the limit of %d", len(t.Authorities), maxAuthorities)
	}
	names := map[string]bool{}
	for _, authority := range t.Authorities {
		if err := authority.validate(names); err != nil {
			return err
		}
		names[authority.Name] = true
	}
	if n := t.distinct(); t.Require.AtLeast < 1 || t.Require.AtLeast > n {
		return fmt.Errorf("require.atLeast is %d, and the authorities have %d different keys and identities", t.Require.AtLeast, n)
	}
	return nil
}

// distinct is how many different keys and identities may sign; a workflow is one
// whatever ref it runs at. Of a Secret and of a regular expression it is not known
// that they stand for what another does.
func (t Trust) distinct() int {
	seen := map[string]bool{}
	for _, a := range t.Authorities {
		id := "authority " + a.Name
		if a.Key != nil && a.Key.SecretRef == nil {
			if public, err := a.Key.Public(); err == nil {
				id = "key " + public.ID
			}
		}
		if k := a.Keyless; k != nil && k.Issuer != "" && k.Subject != "" {
			id = fmt.Sprintf("identity %q %q", k.Issuer, Workflow(k.Subject))
		}
		seen[id] = true
	}
	return len(seen)
}

// Workflow is the subject of an identity without the ref that it ran at. A ref may hold
// an @ as well (refs/tags/shop@1.0.0), so the first one counts.
func Workflow(subject string) string {
	scheme, rest, isURL := strings.Cut(subject, "://")
	if !isURL {
		return subject
	}
	path, _, _ := strings.Cut(rest, "@")
	return scheme + "://" + path
}

func (m Match) validate() error {
	if len(m.Namespaces) > maxEntries || len(m.Repositories) > maxEntries {
		return fmt.Errorf("a list has more than %d entries", maxEntries)
	}
	for _, namespace := range m.Namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return fmt.Errorf("namespace %q: %s", namespace, problems[0])
		}
	}
	for _, pattern := range m.Repositories {
		if err := validatePattern(pattern); err != nil {
			return fmt.Errorf("repository %q: %w", pattern, err)
		}
		if pattern != "**" && !strings.Contains(pattern, "/") {
			return fmt.Errorf("repository %q is a host alone, and matches nothing; hint: write %[1]s/**", pattern)
		}
	}
	return nil
}

func validatePattern(pattern string) error {
	if len(pattern) > maxPatternBytes {
		return fmt.Errorf("it has more than %d bytes", maxPatternBytes)
	}
	if strings.Contains(pattern, "://") {
		return errors.New("it has a scheme; hint: write HOST/PATH")
	}
	for _, part := range strings.Split(pattern, "/") {
		if part == "" || strings.ContainsFunc(part, notInPattern) {
			return fmt.Errorf("%q is not a path element; hint: write HOST/PATH with * and **", part)
		}
		if part != "**" && strings.Contains(part, "**") {
			return fmt.Errorf("%q: ** stands for whole path elements only", part)
		}
	}
	return nil
}

// notInPattern says that r occurs in no host, repository name or pattern.
func notInPattern(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._:-*[]", r)
}

func (s Source) validate() error {
	if len(s.Repositories) > maxEntries || len(s.Refs) > maxEntries {
		return fmt.Errorf("a list has more than %d entries", maxEntries)
	}
	for _, repository := range s.Repositories {
		if repository == "" || strings.TrimSpace(repository) != repository || !printable(repository) {
			return fmt.Errorf("repository %q is not a Git URL", repository)
		}
	}
	for _, ref := range s.Refs {
		if !strings.HasPrefix(ref, "refs/") || !printable(ref) {
			return fmt.Errorf("ref %q is not a full Git ref; hint: write refs/heads/main", ref)
		}
	}
	return nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
