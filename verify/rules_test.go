package verify_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

func subjectRegexp(name, pattern string) policy.Authority {
	return policy.Authority{Name: name, Keyless: &policy.Keyless{Issuer: github, SubjectRegexp: pattern}}
}

// Two signatures are wanted: one workflow gives one, however many authorities it
// matches and at whatever ref it ran; one key gives one.
func TestDistinctSigners(t *testing.T) {
	i, key := newInstance(t), ecdsaKey(t)
	other := strings.Replace(workflow, "publish", "approve", 1)
	tag := strings.Replace(workflow, "heads/main", "tags/v1", 1)
	scoped := strings.Replace(workflow, "heads/main", "tags/shop@1.0.0", 1)
	anyOf := subjectRegexp("any", `^https://github\.com/acme/deploy/.*$`)
	publish := subjectRegexp("publish", `^https://github\.com/acme/deploy/\.github/workflows/publish\.yml@.*$`)
	manager := policy.Authority{Name: "manager", Key: &policy.Key{Data: key.pem(t)}}
	as := func(subject string) identity { id := ci(); id.subject = subject; return id }
	tests := []struct {
		name        string
		authorities []policy.Authority
		signers     []identity
		keyed       bool
		want        []string
	}{
		{"one workflow, two authorities", []policy.Authority{anyOf, publish}, []identity{as(workflow)}, false, nil},
		{"one workflow, twice", []policy.Authority{anyOf, publish}, []identity{as(workflow), as(workflow)}, false, nil},
		{"one workflow, at two refs", []policy.Authority{anyOf, publish}, []identity{as(workflow), as(tag)}, false, nil},
		{"one workflow, at a ref with an @", []policy.Authority{anyOf, publish}, []identity{as(workflow), as(scoped)}, false, nil},
		{"two workflows, the greedy way", []policy.Authority{anyOf, publish}, []identity{as(workflow), as(other)}, false, []string{"any", "publish"}},
		{"two workflows of one authority", []policy.Authority{publish, manager}, []identity{as(workflow), as(other)}, false, nil},
		{"a workflow and a key", []policy.Authority{publish, manager}, []identity{as(workflow)}, true, []string{"publish", "manager"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, false)
			for _, id := range test.signers {
				w.attach(i.sign(id, statementOf(w.ref.Digest), witnesses{}))
			}
			if test.keyed {
				w.attach(key.bundle(t, statementOf(w.ref.Digest)))
			}
			named := verify.NamedPolicy{Name: "shop", Policy: policy.Policy{Trust: policy.Trust{Authorities: test.authorities, Require: policy.Require{AtLeast: 2}}}}
			verified, err := w.judge(verify.Options{TrustedRoot: i.root()}, named)
			if test.want == nil {
				refused(t, err, verify.Untrusted, "1 of the 2 authorities")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range verified.Signers() {
				got = append(got, s.Authority)
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("signers %v, want %v", got, test.want)
			}
		})
	}
}

func TestKeyValidity(t *testing.T) {
	i, key := newInstance(t), ecdsaKey(t)
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: ago(d)} }
	hour := time.Hour
	tests := []struct {
		name        string
		wit         witnesses
		rooted      bool
		from, until *metav1.Time
		problem     string
		expires     bool
	}{
		{"no time, in the window", witnesses{unlogged: true}, true, at(hour), at(-hour), "", true},
		{"no time, now is too late", witnesses{unlogged: true}, true, nil, at(hour), "no trusted time, so now counts", false},
		{"no time, now is too early", witnesses{unlogged: true}, true, at(-hour), nil, "before validFrom", false},
		{"stamped before the window ended", witnesses{unlogged: true, stamped: ago(2 * hour)}, true, nil, at(hour), "", false},
		{"stamped after the window ended", witnesses{unlogged: true, stamped: ago(hour / 2)}, true, nil, at(hour), "by its timestamp", false},
		{"stamped before the window began", witnesses{unlogged: true, stamped: ago(2 * hour)}, true, at(hour), nil, "before validFrom", false},
		{"stamped by a stranger, so now counts", witnesses{unlogged: true, stamped: ago(2 * hour)}, false, nil, at(hour), "now counts", false},
		{"stamped over other bytes, so now counts", witnesses{unlogged: true, stamped: ago(2 * hour), stampOver: []byte("x")}, true, nil, at(hour), "now counts", false},
		{"logged before the window ended", witnesses{logged: ago(2 * hour)}, true, nil, at(hour), "", false},
		{"logged after the window ended", witnesses{logged: ago(hour / 2)}, true, nil, at(hour), "by its log", false},
		{"the first time counts, the timestamp's", witnesses{logged: ago(hour / 2), stamped: ago(2 * hour)}, true, nil, at(hour), "", false},
		{"the first time counts, the log's", witnesses{logged: ago(2 * hour), stamped: ago(hour / 2)}, true, nil, at(hour), "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, false)
			w.attach(i.signKey(key, statementOf(w.ref.Digest), test.wit))
			named := with(trust(t, key), func(p *policy.Policy) {
				p.Authorities[0].Key.ValidFrom, p.Authorities[0].Key.ValidUntil = test.from, test.until
			})
			options := verify.Options{TrustedRoot: i.root()}
			if !test.rooted {
				options.TrustedRoot = newInstance(t).root()
			}
			verified, err := w.judge(options, named)
			if test.problem != "" {
				refused(t, err, verify.Untrusted)
				wantDetail(t, err, test.problem)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if test.expires != verified.Until().Equal(test.until.Time) || !test.expires && !verified.Until().IsZero() {
				t.Errorf("it holds until %v", verified.Until())
			}
		})
	}
}

func TestRevoked(t *testing.T) {
	w, a, b := newWorld(t, false), ecdsaKey(t), ecdsaKey(t)
	w.attach(a.bundle(t, statementOf(w.ref.Digest)))
	verified, err := w.verify(trust(t, a, b))
	if err != nil {
		t.Fatal(err)
	}
	id := verified.Signers()[0].KeyID
	_, err = w.verify(with(trust(t, a, b), func(p *policy.Policy) { p.Revoked.Keys = []string{id} }))
	refused(t, err, verify.Untrusted, "revoked.keys")
	wantDetail(t, err, id)
	digest := with(trust(t, a, b), func(p *policy.Policy) { p.Revoked.Digests = []string{w.ref.Digest.String()} })
	_, err = w.verify(digest)
	refused(t, err, verify.Revoked, "revoked.digests")
	_, err = verifier(t).Image(context.Background(), w.registry, w.ref, []verify.NamedPolicy{digest})
	refused(t, err, verify.Revoked)
	if verified, err := w.verify(trust(t, a, b), with(digest, func(p *policy.Policy) { audit(p) })); err != nil || len(verified.Findings()) != 1 {
		t.Errorf("audited: %v, %v", verified.Findings(), err)
	}
	w.attach(b.bundle(t, statementOf(w.ref.Digest)))
	if _, err := w.verify(with(trust(t, a, b), func(p *policy.Policy) { p.Revoked.Keys = []string{id} })); err != nil {
		t.Errorf("signed with the other key: %v", err)
	}
}

func TestMirrors(t *testing.T) {
	key := ecdsaKey(t)
	const original = "registry.example.com/deploy/shop"
	w := newWorld(t, false)
	w.ref = w.release("copies/deploy/shop", statement(w, map[string]string{"dev.sealift.repository": original}))
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	here := w.host + "/copies/deploy/shop"
	mirrored := func(of, at string, edits ...func(*policy.Policy)) verify.NamedPolicy {
		return with(trust(t, key), func(p *policy.Policy) {
			p.Mirrors = []policy.Mirror{{Of: of, At: at}}
			for _, edit := range edits {
				edit(p)
			}
		})
	}
	matching := func(pattern string) func(*policy.Policy) {
		return func(p *policy.Policy) { p.Match.Repositories = []string{pattern} }
	}
	for name, policies := range map[string][]verify.NamedPolicy{
		"the repository":             {mirrored(original, here)},
		"what it begins with":        {mirrored("registry.example.com", w.host+"/copies")},
		"matched by where it is of":  {mirrored(original, here, matching(original))},
		"declared by another policy": {trust(t, key), with(mirrored(original, here), func(p *policy.Policy) { p.Revoked.Keys = nil })},
	} {
		verified, err := w.verify(policies...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m := verified.Mirror(); m.At == "" || verified.Statement().Repository != original {
			t.Errorf("%s: mirror %v of %v", name, m, verified.Statement())
		}
	}
	stranger := ecdsaKey(t)
	for name, policies := range map[string][]verify.NamedPolicy{
		"none":                           {trust(t, key)},
		"another place":                  {mirrored(original, w.host+"/copies/deploy/blog")},
		"part of an element":             {mirrored("registry.example.com/deploy/sho", w.host+"/copies/deploy/sho")},
		"of another":                     {mirrored("registry.example.com/deploy/blog", here)},
		"the wrong way round":            {mirrored(here, original)},
		"by a policy that does not pass": {trust(t, key), with(trust(t, stranger), func(p *policy.Policy) { audit(p); p.Mirrors = []policy.Mirror{{Of: original, At: here}} })},
		"by a policy that does not apply": {trust(t, key), mirrored(original, here, func(p *policy.Policy) {
			p.Match.Repositories = []string{"elsewhere.example.com/**"}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.verify(policies...)
			refused(t, err, verify.StatementMismatch, `published to "`+original+`"`, "mirrors")
		})
	}
	// Nobody escapes a policy by reading from elsewhere.
	theirs := with(trust(t, stranger), func(p *policy.Policy) { p.Match.Repositories = []string{"registry.example.com/**"} })
	theirs.Name = "platform"
	_, err := w.verify(mirrored(original, here), theirs)
	refused(t, err, verify.Untrusted, `policy "platform"`)
}

func TestImage(t *testing.T) {
	i, w := newInstance(t), newWorld(t, false)
	w.attach(i.sign(ci().with("digest", strings.Repeat("a", 40)), statementOf(w.ref.Digest), witnesses{}))
	named := with(byIdentity(), func(p *policy.Policy) {
		p.Source = policy.Source{Repositories: []string{"https://git.example.com/acme/deploy"}}
		p.Match.Repositories = []string{"*/shop"}
	})
	v, err := verify.New(verify.Options{TrustedRoot: i.root()})
	if err != nil {
		t.Fatal(err)
	}
	verified, err := v.Image(context.Background(), w.registry, w.ref, []verify.NamedPolicy{named})
	if err != nil || len(verified.Signers()) != 1 {
		t.Fatalf("%v, %v", verified.Signers(), err)
	}
	_, err = v.Release(context.Background(), w.registry, w.ref, []verify.NamedPolicy{named}, verify.Claim{})
	refused(t, err, verify.StatementMismatch, "source.repositories")
	_, err = v.Image(context.Background(), w.registry, w.ref, []verify.NamedPolicy{with(named, func(p *policy.Policy) { p.Match.Repositories = []string{"*/blog"} })})
	refused(t, err, verify.NoPolicy)
}

func TestVerdictsAreRemembered(t *testing.T) {
	w, key := newWorld(t, false), ecdsaKey(t)
	now := time.Now()
	v, err := verify.New(verify.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(named verify.NamedPolicy) error {
		_, err := v.Release(context.Background(), w.registry, w.ref, []verify.NamedPolicy{named}, verify.Claim{})
		return err
	}
	until := &metav1.Time{Time: now.Add(time.Hour)}
	named := with(trust(t, key), func(p *policy.Policy) { p.Authorities[0].Key.ValidUntil = until })
	refused(t, ask(named), verify.NotSigned)
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	if err := ask(named); err != nil {
		t.Fatalf("the refusal was remembered: %v", err)
	}
	w.breaks("/")
	if err := ask(named); err != nil {
		t.Errorf("the pass was not remembered: %v", err)
	}
	renamed := named
	renamed.Name = "blog"
	refused(t, ask(renamed), verify.Unavailable)
	refused(t, ask(with(named, func(p *policy.Policy) { p.Require.AtLeast = 1; p.Formats = []policy.Format{policy.Legacy} })), verify.Unavailable)
	now = now.Add(time.Hour)
	refused(t, ask(named), verify.Unavailable)
}

// What a policy in Audit mode misses may come, too.
func TestFindingsAreNotRemembered(t *testing.T) {
	w, a, b := newWorld(t, false), ecdsaKey(t), ecdsaKey(t)
	w.attach(a.bundle(t, statementOf(w.ref.Digest)))
	v := verifier(t)
	audit := with(trust(t, a, b), func(p *policy.Policy) { p.Mode, p.Require.AtLeast = policy.Audit, 2 })
	for _, want := range []int{1, 0} {
		verified, err := v.Release(t.Context(), w.registry, w.ref, []verify.NamedPolicy{audit}, verify.Claim{})
		if err != nil || len(verified.Findings()) != want {
			t.Errorf("findings %q, want %d; %v", verified.Findings(), want, err)
		}
		w.attach(b.bundle(t, statementOf(w.ref.Digest)))
	}
}

// One verifier serves many at once.
func TestManyAtOnce(t *testing.T) {
	i, w, key := newInstance(t), newWorld(t, false), ecdsaKey(t)
	w.ref = w.release("shop", statement(w, nil))
	w.attach(i.sign(ci(), statementOf(w.ref.Digest), witnesses{stamped: ago(0)}))
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	w.attachAs(provenance, key.bundle(t, attests(w.ref.Digest, `{"n":1}`)))
	for _, verdicts := range []int{-1, 1} {
		v, err := verify.New(verify.Options{TrustedRoot: i.root(), Verdicts: verdicts})
		if err != nil {
			t.Fatal(err)
		}
		named := with(byIdentity(), func(p *policy.Policy) {
			p.Authorities = append(p.Authorities, policy.Authority{Name: "manager", Key: &policy.Key{Data: key.pem(t)}})
			p.Require.AtLeast = 2
			p.Attestations = []policy.Attestation{{PredicateType: provenance, Authorities: []policy.Attestor{{Name: "manager"}},
				Conditions: []policy.Condition{{Expression: "predicate.n == 1"}}}}
		})
		var group errgroup.Group
		for n := range 16 {
			group.Go(func() error {
				one := named
				one.Name = fmt.Sprintf("shop-%d", n%3)
				_, err := v.Release(context.Background(), w.registry, w.ref, []verify.NamedPolicy{one}, verify.Claim{})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	}
}
