package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const (
	maxMirrors = 64
	maxRevoked = 1024
)

// Mirror is another place where releases may be read.
// +kubebuilder:validation:XValidation:rule="self.of != self.at && !self.at.startsWith(self.of + '/') && !self.of.startsWith(self.at + '/')",message="of and at must not overlap"
// +kubebuilder:validation:XValidation:rule="!self.of.contains('*') && !self.at.contains('*')",message="of and at are HOST/PATH, not patterns: they stand for what is below them as well"
// +kubebuilder:validation:XValidation:rule="!self.of.contains('://') && !self.at.contains('://')",message="of and at are HOST/PATH, without a scheme"
type Mirror struct {
	// Of is where they were published: HOST/PATH, a repository or what it begins with.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Of string `json:"of"`

	// At is where they may be read: HOST/PATH in place of Of.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	At string `json:"at"`
}

// Revoked names what no longer counts.
type Revoked struct {
	// Digests of releases that are refused: sha256:HEX.
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:Pattern=`^sha256:[0-9a-f]{64}$`
	// +listType=set
	// +optional
	Digests []string `json:"digests,omitempty"`

	// Keys whose signatures do not count, by ID: the hex-encoded SHA-256 of the
	// public key in PKIX form, as reports show it.
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:Pattern=`^[0-9a-f]{64}$`
	// +listType=set
	// +optional
	Keys []string `json:"keys,omitempty"`
}

func validateMirrors(mirrors []Mirror) error {
	if len(mirrors) > maxMirrors {
		return fmt.Errorf("%d entries are more than the limit of %d", len(mirrors), maxMirrors)
	}
	for i, m := range mirrors {
		if err := m.validate(); err != nil {
			return err
		}
		m = m.canonical()
		for _, other := range mirrors[:i] {
			other = other.canonical()
			if m == other {
				return fmt.Errorf("%q at %q is listed twice", m.Of, m.At)
			}
			if _, below := beneath(m.At, other.At); below || m.At == other.At {
				return fmt.Errorf("%q and %q overlap, so that it is not clear what is mirrored there; hint: give each its own place", other.At, m.At)
			}
			if _, above := beneath(other.At, m.At); above {
				return fmt.Errorf("%q and %q overlap, so that it is not clear what is mirrored there; hint: give each its own place", other.At, m.At)
			}
		}
	}
	return nil
}

func (m Mirror) validate() error {
	for _, place := range []string{m.Of, m.At} {
		if strings.Contains(place, "*") {
			return fmt.Errorf("%q is a pattern; hint: write HOST/PATH, which stands for what is below it as well", place)
		}
		if err := validatePattern(place); err != nil {
			return fmt.Errorf("%q: %w", place, err)
		}
	}
	m = m.canonical()
	_, inside := beneath(m.At, m.Of)
	_, around := beneath(m.Of, m.At)
	if inside || around {
		return fmt.Errorf("of %q and at %q overlap", m.Of, m.At)
	}
	return nil
}

// Place is where m lets a release be read that was published to repository
// (HOST/PATH); false means that m is not about it.
func (m Mirror) Place(repository string) (string, bool) {
	m = m.canonical()
	rest, ok := beneath(canonical(repository), m.Of)
	return m.At + rest, ok
}

func (m Mirror) canonical() Mirror { return Mirror{Of: canonical(m.Of), At: canonical(m.At)} }

// beneath says whether path is root or below it, and gives the rest with its slash.
func beneath(path, root string) (rest string, ok bool) {
	rest, found := strings.CutPrefix(path, root)
	return rest, found && (rest == "" || rest[0] == '/')
}

func (r Revoked) validate() error {
	if len(r.Digests) > maxRevoked || len(r.Keys) > maxRevoked {
		return fmt.Errorf("a list has more than %d entries", maxRevoked)
	}
	if len(r.Digests)+len(r.Keys) == 0 {
		return nil // and nothing is compiled for it
	}
	digest, id := regexp.MustCompile(`^sha256:[0-9a-f]{64}$`), regexp.MustCompile(`^[0-9a-f]{64}$`)
	if err := each(r.Digests, digest, "is no digest; hint: write sha256: and 64 hex digits in lower case"); err != nil {
		return fmt.Errorf("digests: %w", err)
	}
	if err := each(r.Keys, id, "is no key ID; hint: write the 64 hex digits that sealift verify -o json prints as keyID"); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// each checks that every entry matches form and is there once.
func each(entries []string, form *regexp.Regexp, problem string) error {
	seen := make(map[string]bool, len(entries))
	for _, entry := range entries {
		if !form.MatchString(entry) {
			return fmt.Errorf("%.80q %s", entry, problem)
		}
		if seen[entry] {
			return errors.New(entry + " is listed twice")
		}
		seen[entry] = true
	}
	return nil
}

// Origins are the repositories that p lets be read at place: place itself, and what
// p's mirrors make of it.
func (p Policy) Origins(place string) []string {
	origins := []string{place}
	for _, m := range p.Mirrors {
		if origin, ok := (Mirror{Of: m.At, At: m.Of}).Place(place); ok {
			origins = append(origins, origin)
		}
	}
	return origins
}
