package policy

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Explanation says in words what a policy lets in.
// +kubebuilder:object:generate=false
type Explanation struct {
	Name string `json:"name"`
	Mode Mode   `json:"mode"`
	// Applies says to what, Authorities who counts, Needs what all must hold, and
	// Refused what never passes.
	Applies     []string `json:"applies"`
	Authorities []string `json:"authorities"`
	Needs       []string `json:"needs"`
	Refused     []string `json:"refused,omitempty"`
	// Warnings say what a person may not have meant.
	Warnings []string `json:"warnings,omitempty"`
}

// Explain puts a policy that validates into words, as of now.
func (n Named) Explain(now time.Time) Explanation {
	p := n.Policy.WithDefaults()
	e := Explanation{Name: n.Name, Mode: p.Mode, Applies: p.Match.explain(), Needs: p.needs(), Refused: p.Revoked.explain(), Warnings: p.warnings(now)}
	for _, a := range p.Authorities {
		e.Authorities = append(e.Authorities, a.explain())
	}
	return e
}

func (m Match) explain() []string {
	namespaces, repositories := "Deliveries in every namespace", "releases in every repository"
	if len(m.Namespaces) > 0 {
		namespaces = "Deliveries in the " + names("namespace", m.Namespaces)
	}
	if len(m.Repositories) > 0 {
		repositories = "releases in " + either(m.Repositories)
	}
	return []string{namespaces, repositories}
}

// needs lists what a release needs, beside signers of whom Authorities speaks.
func (p Policy) needs() []string {
	forms := map[Format]string{Bundle: "Sigstore bundles", Legacy: "signatures under the tag sha256-….sig"}
	var formats []string
	for _, f := range p.Formats {
		formats = append(formats, forms[f])
	}
	signatures := fmt.Sprintf("signatures by %d of these %d authorities, with different keys and identities", p.Require.AtLeast, len(p.Authorities))
	switch {
	case len(p.Authorities) == 1:
		signatures = fmt.Sprintf("a signature by %q", p.Authorities[0].Name)
	case p.Require.AtLeast == 1:
		signatures = fmt.Sprintf("a signature by one of these %d authorities", len(p.Authorities))
	}
	needs := []string{signatures + "; " + strings.Join(formats, " and ") + " count"}
	if len(p.Source.Repositories) > 0 {
		needs = append(needs, "a statement that it was built from "+either(p.Source.Repositories))
	}
	if len(p.Source.Refs) > 0 {
		needs = append(needs, "a statement that it was built from the "+names("ref", p.Source.Refs))
	}
	for _, a := range p.Attestations {
		needs = append(needs, p.explainAttestation(a))
	}
	place := "to be read from the repository that it was published to"
	for _, m := range p.Mirrors {
		place += fmt.Sprintf(", or from %s in place of %s", m.At, m.Of)
	}
	return append(needs, place)
}

func (p Policy) explainAttestation(a Attestation) string {
	var by []string
	for _, attestor := range p.Attestors(a) {
		if (Authority{Name: attestor.Name}).in(p.Authorities) != nil {
			by = append(by, fmt.Sprintf("%q", attestor.Name))
			continue
		}
		by = append(by, attestor.explain())
	}
	text := fmt.Sprintf("an attestation of the type %s by %s", a.PredicateType, strings.Join(by, " or "))
	if a.MaxAge != nil {
		text += fmt.Sprintf(", at most %s old", age(a.MaxAge.Duration))
	}
	for i, c := range a.Conditions {
		text += []string{", in which ", " and "}[min(i, 1)] + oneLine(c.Expression)
		if c.Message != "" {
			text += fmt.Sprintf(" (%s)", oneLine(c.Message))
		}
	}
	return text
}

func (a Authority) explain() string {
	if a.Key != nil {
		return fmt.Sprintf("%q: %s", a.Name, a.Key.explain())
	}
	return fmt.Sprintf("%q: %s", a.Name, a.Keyless.explain())
}

func (k Key) explain() string {
	text := ""
	if k.SecretRef != nil {
		text = fmt.Sprintf("the key %s in the Secret %q of the synchronizer's namespace", orElse(k.SecretRef.Key, DefaultKeyEntry), k.SecretRef.Name)
	} else if public, err := k.Public(); err == nil {
		text = fmt.Sprintf("the %s key %s", public.Kind(), public.ID)
	}
	switch {
	case k.ValidFrom != nil && k.ValidUntil != nil:
		text += fmt.Sprintf(", for what was signed from %s until %s", stamp(k.ValidFrom), stamp(k.ValidUntil))
	case k.ValidFrom != nil:
		text += ", for what was signed from " + stamp(k.ValidFrom)
	case k.ValidUntil != nil:
		text += ", for what was signed until " + stamp(k.ValidUntil)
	}
	return text
}

// Kind names the algorithm and its size.
func (k PublicKey) Kind() string {
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	}
	return "Ed25519"
}

func (k Keyless) explain() string {
	form := func(name, literal, regexp string) string {
		if regexp != "" {
			return name + " that matches " + regexp
		}
		return name + " " + literal
	}
	parts := []string{form("an identity", k.Subject, k.SubjectRegexp) + " of " + form("the issuer", k.Issuer, k.IssuerRegexp)}
	if k.Subject != "" {
		parts[0] = "the" + strings.TrimPrefix(parts[0], "an")
	}
	for _, c := range k.claims() {
		words := map[string]string{
			"sourceRepository": "for the repository", "sourceRef": "for the ref", "buildTrigger": "started by the event", "runnerEnvironment": "on the runner",
		}[c.name]
		if words != "" && c.literal+c.regexp != "" {
			parts = append(parts, form(words, c.literal, c.regexp))
		}
	}
	switch r := k.TrustedRoot; {
	case r == nil:
	case r.SecretRef != nil:
		parts = append(parts, fmt.Sprintf("by the trusted root %s in the Secret %q of the synchronizer's namespace", orElse(r.SecretRef.Key, DefaultTrustedRootEntry), r.SecretRef.Name))
	default:
		parts = append(parts, "by the trusted root in the policy")
	}
	return strings.Join(parts, ", ")
}

func (r Revoked) explain() []string {
	var refused []string
	for _, d := range r.Digests {
		refused = append(refused, "the release "+d)
	}
	for _, id := range r.Keys {
		refused = append(refused, "every signature by the key "+id)
	}
	return refused
}

// names is "namespace a" or "namespaces a or b".
func names(noun string, list []string) string {
	if len(list) > 1 {
		noun += "s"
	}
	return noun + " " + either(list)
}

func either(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return strings.Join(slices.Clone(list[:last]), ", ") + " or " + list[last]
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// age writes whole hours without minutes and seconds.
func age(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", int64(d/time.Hour))
	}
	return d.String()
}
