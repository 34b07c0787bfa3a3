package verify

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/utils/lru"

	"sealift.dev/artifact"
	"sealift.dev/internal/condition"
	"sealift.dev/verify/policy"
)

// rule is a policy that was made ready to be held against evidence.
type rule struct {
	name        string
	policy      policy.Policy
	fingerprint [sha256.Size]byte
	mode        policy.Mode
	formats     []policy.Format
	authorities []authority
	atLeast     int
	demands     []demand
	revoked     revocations
}

// demand is an attestation that a policy asks for.
type demand struct {
	predicateType string
	authorities   []authority
	maxAge        time.Duration // 0: any age
	conditions    []conditional
}

type conditional struct {
	program *condition.Program
	message string
}

type revocations struct{ digests, keys map[string]bool }

// compiler makes rules of policies, each once while it is not forgotten.
type compiler struct {
	roots *roots
	known *lru.Cache // by fingerprint
}

// rulesKept is how many policies are remembered.
const rulesKept = 1024

func newCompiler(r *roots) *compiler { return &compiler{roots: r, known: lru.New(rulesKept)} }

// rules makes a rule of every policy. An invalid policy is a refusal even in Audit
// mode: what it meant to say is not known.
func (c *compiler) rules(q question) ([]*rule, error) {
	if len(q.policies) == 0 {
		return nil, noPolicy(q.ref)
	}
	rules := make([]*rule, 0, len(q.policies))
	for _, named := range q.policies {
		r, err := c.rule(named)
		if err != nil {
			return nil, &Refusal{Reason: InvalidPolicy, Ref: q.ref, Policy: named.Name, problem: clean(err.Error()), cause: err}
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func (c *compiler) rule(named NamedPolicy) (*rule, error) {
	encoded, err := json.Marshal(named)
	if err != nil {
		return nil, err
	}
	fingerprint := sha256.Sum256(encoded)
	if known, ok := c.known.Get(fingerprint); ok {
		return known.(*rule), nil
	}
	r, err := c.compile(named.Name, named.Policy.WithDefaults())
	if err != nil {
		return nil, err
	}
	r.fingerprint = fingerprint
	c.known.Add(fingerprint, r)
	return r, nil
}

func (c *compiler) compile(name string, p policy.Policy) (*rule, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	r := &rule{name: name, policy: p, mode: p.Mode, formats: p.Formats, atLeast: p.Require.AtLeast,
		revoked: revocations{digests: set(p.Revoked.Digests), keys: set(p.Revoked.Keys)}}
	for _, a := range p.Authorities {
		made, err := c.authority(a)
		if err != nil {
			return nil, err
		}
		r.authorities = append(r.authorities, made)
	}
	for i, a := range p.Attestations {
		d, err := c.demand(a, p.Attestors(a))
		if err != nil {
			return nil, fmt.Errorf("attestations[%d]: %w", i, err)
		}
		r.demands = append(r.demands, d)
	}
	return r, nil
}

func set(values []string) map[string]bool {
	all := make(map[string]bool, len(values))
	for _, v := range values {
		all[v] = true
	}
	return all
}

func (c *compiler) demand(a policy.Attestation, attestors []policy.Authority) (demand, error) {
	d := demand{predicateType: a.PredicateType}
	if a.MaxAge != nil {
		d.maxAge = a.MaxAge.Duration
	}
	for _, by := range attestors {
		made, err := c.authority(by)
		if err != nil {
			return d, err
		}
		d.authorities = append(d.authorities, made)
	}
	for _, wanted := range a.Conditions {
		program, err := condition.Compile(wanted.Expression, condition.Attestation())
		if err != nil {
			return d, err
		}
		message := wanted.Message
		if message == "" {
			message = wanted.Expression
		}
		d.conditions = append(d.conditions, conditional{program: program, message: message})
	}
	return d, nil
}

func (c *compiler) authority(a policy.Authority) (authority, error) {
	var err error
	made := authority{name: a.Name}
	switch {
	case a.Key != nil:
		made.key, err = newKeyed(*a.Key)
	case a.Keyless != nil:
		made.identity, err = c.identity(*a.Keyless)
	default:
		err = errors.New("it has neither key nor keyless")
	}
	if err != nil {
		return authority{}, fmt.Errorf("authority %q: %w", a.Name, err)
	}
	return made, nil
}

// applicable are the rules whose policies match: the place that is read, what the
// policy's own mirrors make of it, or where the release says to be of. So nobody
// escapes a policy by reading elsewhere.
func applicable(rules []*rule, q question, t told) ([]*rule, error) {
	var applying []*rule
	for _, r := range rules {
		if slices.ContainsFunc(r.places(q.ref, t), func(place string) bool { return r.policy.Matches(q.as.Namespace, place) }) {
			applying = append(applying, r)
		}
	}
	if len(applying) == 0 {
		return nil, noPolicy(q.ref)
	}
	return applying, nil
}

func (r *rule) places(ref artifact.Ref, t told) []string {
	here := ref.Repository.String()
	places := []string{here}
	if t.statement.Repository != "" {
		places = append(places, t.statement.Repository)
	}
	for _, m := range r.policy.Mirrors {
		back := policy.Mirror{Of: m.At, At: m.Of}
		if original, ok := back.Place(here); ok {
			places = append(places, original)
		}
	}
	return places
}

func noPolicy(ref artifact.Ref) *Refusal {
	return &Refusal{Reason: NoPolicy, Ref: ref, problem: "no trust policy applies to it",
		hint: "write a TrustPolicy that matches " + ref.Repository.String() + ", or name the authorities where the source is named"}
}
