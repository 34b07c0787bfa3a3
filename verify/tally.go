package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sealift.dev/verify/policy"
)

// tally is what one rule makes of the evidence so far. It looks at every signature
// once.
type tally struct {
	*rule
	inquiry *inquiry

	heard int
	votes []vote
	// misses say why signatures do not count.
	misses []Detail
	// rootless says that a signature could not be judged without the public root.
	rootless bool

	heardAttestations int
	met               []*vote // by demand
	failures          []failures
}

// vote is a signature that counts for an authority.
type vote struct {
	authority int // of the rule, or of the demand
	signer    Signer
	until     time.Time // when it ceases to count; zero: never
}

// failures say why attestations do not meet a demand.
type failures []Detail

// hear looks at the signatures that came since.
func (t *tally) hear() {
	for _, s := range t.inquiry.signatures[t.heard:] {
		if slices.Contains(t.formats, s.format) {
			t.weigh(s)
		}
	}
	t.heard = len(t.inquiry.signatures)
}

// weigh gives the signature's votes, or says why it has none.
func (t *tally) weigh(s *signature) {
	var nearest miss
	counts := false
	for i, a := range t.authorities {
		v, m := t.counts(t.authorities, a, s)
		if m == nil {
			m = t.sameCommit(v.signer)
		}
		if m != nil {
			if m.near > nearest.near || nearest.problem == "" {
				nearest = *m
			}
			continue
		}
		counts = true
		v.authority = i
		t.votes = append(t.votes, v)
	}
	if !counts {
		t.miss(nearest.detail(s))
	}
}

// miss keeps why a signature does not count: the first of them, and the nearest.
func (t *tally) miss(d Detail) {
	if last := len(t.misses) - 1; last+1 < maxDetails {
		t.misses = append(t.misses, d)
	} else if d.near > t.misses[last].near {
		t.misses[last] = d
	}
}

// counts says whether a signature is by the authority a, which is among several; a
// miss says why not.
func (t *tally) counts(among []authority, a authority, s *signature) (vote, *miss) {
	if a.key != nil {
		return t.countsKey(among, a, s)
	}
	return t.countsIdentity(a, s)
}

func (t *tally) countsKey(among []authority, a authority, s *signature) (vote, *miss) {
	if s.logged.certified() && s.format == policy.Bundle {
		return vote{}, &miss{authority: a.name, problem: "was made with a certificate, not with a key"}
	}
	shown, err := s.byKey(a.key, t.inquiry.roots.own)
	switch {
	case err != nil:
		return vote{}, &miss{authority: a.name, problem: "was made with another key than those of " + names(among)}
	case t.revoked.keys[a.key.id]:
		return vote{}, &miss{authority: a.name, near: nearSigner, field: "revoked.keys", got: a.key.id,
			problem: fmt.Sprintf("was made with the key %s of %q, which revoked.keys lists", a.key.id, a.name)}
	}
	v := vote{signer: newSigner(a, s, shown)}
	at, which := shown.time, "was made at "+utc(shown.time)+" by its "+shown.from
	if at.IsZero() {
		at, which = t.inquiry.now, "has no trusted time, so now counts, "+utc(t.inquiry.now)
		v.until = a.key.until
	}
	if why := a.key.outside(at); why != "" {
		return vote{}, &miss{authority: a.name, near: nearSigner, field: "key", got: utc(at),
			problem: fmt.Sprintf("is by the key of %q, and %s: %s", a.name, which, why)}
	}
	return v, nil
}

func (t *tally) countsIdentity(a authority, s *signature) (vote, *miss) {
	switch {
	case s.logged == nil:
		return vote{}, &miss{authority: a.name, problem: clean(s.unlogged.Error())}
	case !s.logged.certified():
		return vote{}, &miss{authority: a.name, problem: "was made with a key, not with a certificate"}
	}
	root := a.identity.root
	if root == nil {
		root = t.inquiry.public
	}
	if root == nil {
		t.rootless = true
		return vote{}, &miss{authority: a.name, near: 1, problem: "cannot be judged without a trusted root"}
	}
	shown, err := s.byRoot(root)
	if err != nil {
		return vote{}, &miss{authority: a.name, near: 1, problem: "is not proven: " + clean(err.Error())}
	}
	if claim, met := a.identity.differs(shown.certificate); claim != nil {
		return vote{}, differing(a, *claim, met, shown.certificate)
	}
	return vote{signer: newSigner(a, s, shown)}, nil
}

// differing tells what the certificate says instead of what is expected.
func differing(a authority, claim claimed, met int, c Certificate) *miss {
	m := &miss{authority: a.name, near: 2 + met, field: claim.field, want: claim.literal, got: clip(claim.of(c))}
	m.problem = fmt.Sprintf("is not by authority %q: it expects the %s %q, got %q", a.name, m.field, m.want, m.got)
	if m.got != c.Subject {
		m.problem += fmt.Sprintf(", by %q", clip(c.Subject))
	}
	if m.got != c.Issuer {
		m.problem += fmt.Sprintf(" of %q", clip(c.Issuer))
	}
	return m
}

// sameCommit holds the commit that a certificate was issued for against the one that
// the release says to be of.
func (t *tally) sameCommit(by Signer) *miss {
	signed, stated := by.Certificate.SourceDigest, t.inquiry.told.statement.Commit()
	if signed == "" || stated == "" || signed == stated {
		return nil
	}
	return &miss{authority: by.Authority, near: nearSigner, field: "sourceDigest", want: clip(stated), got: clip(signed),
		problem: fmt.Sprintf("is by %q, whose certificate is of the commit %q, and the release says to be of %q",
			clip(by.Certificate.Subject), clip(signed), clip(stated))}
}

const (
	// nearSigner is the nearness of a signature that is by an authority, and does not
	// count for another reason.
	nearSigner = 100
	// foreign is that of what is no signature, and told last.
	foreign = -1
)

// miss is why a signature does not count for an authority.
type miss struct {
	authority string
	problem   string
	// near is how much of what the authority asks for is met: the nearest miss is told.
	near             int
	field, want, got string
}

func (m miss) detail(s *signature) Detail {
	return Detail{Format: s.format, Digest: s.digest, Problem: m.problem, Authority: m.authority, Field: m.field, Want: m.want, Got: m.got, near: m.near}
}

func newSigner(a authority, s *signature, shown proof) Signer {
	return Signer{Authority: a.name, Format: s.format, Signature: s.digest, KeyID: shown.keyID, Certificate: shown.certificate,
		Time: shown.time, TimeFrom: shown.from, Log: shown.log}
}

// elected pairs authorities with those who signed, each counted once, for as many
// pairs as there can be.
func (t *tally) elected() []vote {
	t.hear()
	edges := make([][]int, len(t.authorities))
	var principals []string
	first := map[[2]int]vote{}
	for _, v := range t.votes {
		who := slices.Index(principals, v.signer.principal())
		if who < 0 {
			who, principals = len(principals), append(principals, v.signer.principal())
		}
		pair := [2]int{v.authority, who}
		known, twice := first[pair]
		if !twice {
			edges[v.authority] = append(edges[v.authority], who)
		}
		if !twice || !known.until.IsZero() && v.until.IsZero() {
			first[pair] = v
		}
	}
	var votes []vote
	for authority, who := range match(edges, len(principals)) {
		if who >= 0 {
			votes = append(votes, first[[2]int{authority, who}])
		}
	}
	return votes
}

// signers are the authorities that signed, as elected.
func (t *tally) signers() []Signer {
	signers := []Signer{}
	for _, v := range t.elected() {
		signers = append(signers, v.signer)
	}
	return signers
}

func (t *tally) signed() bool { return len(t.elected()) >= t.atLeast }

// attested says that every attestation that is asked for is there.
func (t *tally) attested(ctx context.Context) bool { return t.unmet(ctx) < 0 }

func (t *tally) until() time.Time {
	var first time.Time
	for _, v := range t.elected() {
		first = earlier(first, v.until)
	}
	for _, v := range t.met {
		if v != nil {
			first = earlier(first, v.until)
		}
	}
	return first
}
