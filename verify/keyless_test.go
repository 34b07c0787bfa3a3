package verify_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// byIdentity trusts one workflow; edits change what is asked of it.
func byIdentity(edits ...func(*policy.Keyless)) verify.NamedPolicy {
	who := policy.Keyless{Issuer: github, Subject: workflow}
	for _, edit := range edits {
		edit(&who)
	}
	return verify.NamedPolicy{Name: "shop", Policy: policy.Policy{Trust: policy.Trust{
		Authorities: []policy.Authority{{Name: "ci", Keyless: &who}}}}}
}

func (w *world) judge(o verify.Options, policies ...verify.NamedPolicy) (verify.Verified, error) {
	w.t.Helper()
	v, err := verify.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return v.Release(context.Background(), w.registry, w.ref, policies, verify.Claim{})
}

// keylessLayer stores a legacy signature by an identity.
func (w *world) keylessLayer(i *instance, id identity, wit witnesses, edits ...func(map[string]string)) ocispec.Descriptor {
	payload := payloadOf(w.ref)
	d := w.blob(w.ref.Repository.Path, verify.SimpleSigningType, []byte(payload))
	d.Annotations = i.notes(id, payload, wit)
	for _, edit := range edits {
		edit(d.Annotations)
	}
	return d
}

func TestKeylessInBothFormats(t *testing.T) {
	i := newInstance(t)
	for _, fallback := range []bool{false, true} {
		for _, format := range []policy.Format{policy.Bundle, policy.Legacy} {
			w := newWorld(t, fallback)
			w.ref = w.release("shop", statement(w, nil))
			if format == policy.Bundle {
				w.attach(i.sign(ci(), statementOf(w.ref.Digest), witnesses{stamped: ago(0)}))
			} else {
				w.note(w.keylessLayer(i, ci(), witnesses{}))
			}
			named := with(byIdentity(func(k *policy.Keyless) {
				k.SourceRepository, k.SourceRef, k.BuildTrigger, k.RunnerEnvironment = repo, "refs/heads/main", "push", "github-hosted"
			}), func(p *policy.Policy) { p.Formats = []policy.Format{format} })
			verified, err := w.judge(verify.Options{TrustedRoot: i.root()}, named)
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			signers := verified.Signers()
			if len(signers) != 1 {
				t.Fatalf("signers %v", signers)
			}
			s := signers[0]
			if s.Authority != "ci" || s.Format != format || s.KeyID != "" || s.Certificate.Subject != workflow || s.Certificate.Issuer != github ||
				s.Certificate.SourceDigest != commit || s.Time.IsZero() || s.Log.Index != 4711 || s.Log.URL != "https://rekor.localhost" || s.Signature == "" {
				t.Errorf("%s: signer %+v", format, s)
			}
			if _, err := w.judge(verify.Options{TrustedRoot: newInstance(t).root()}, named); err == nil {
				t.Errorf("%s: another instance's certificate counts", format)
			}
		}
	}
}

// Each hostile bundle has a twin that differs in that bit only, and is let in.
func TestHostileKeylessBundles(t *testing.T) {
	i := newInstance(t)
	stranger := newInstance(t)
	regexps := func(k *policy.Keyless) {
		k.Issuer, k.IssuerRegexp = "", `^https://token\.actions\.githubusercontent\.com$`
		k.Subject, k.SubjectRegexp = "", `^https://github\.com/acme/deploy/\.github/workflows/publish\.yml@refs/heads/main$`
	}
	none := func(*policy.Keyless) {}
	tests := []struct {
		name   string
		id     func(identity) identity
		wit    func(*witnesses, *world)
		policy func(*policy.Keyless)
		detail string
	}{
		{"issuer with a suffix", func(id identity) identity { id.issuer += ".evil"; return id }, nil, none, `expects the issuer "` + github + `", got "` + github + `.evil"`},
		{"issuer with a suffix, by pattern", func(id identity) identity { id.issuer += ".evil"; return id }, nil, regexps, "expects the issuerRegexp"},
		{"subject with a suffix, by pattern", func(id identity) identity { id.subject += "/../evil"; return id }, nil, regexps, "expects the subjectRegexp"},
		{"subject with a line break, by pattern", func(id identity) identity { id.subject += "%0a"; return id }, nil, regexps, "expects the subjectRegexp"},
		{"another workflow", func(id identity) identity { id.subject = strings.Replace(id.subject, "publish", "evil", 1); return id }, nil, none, "expects the subject"},
		{"a pull request's token", func(id identity) identity { return id.with("trigger", "pull_request") }, nil, func(k *policy.Keyless) { k.BuildTrigger = "push" }, `expects the buildTrigger "push", got "pull_request"`},
		{"a fork's token", func(id identity) identity { return id.with("repository", "https://github.com/evil/deploy") }, nil, func(k *policy.Keyless) { k.SourceRepository = repo }, "expects the sourceRepository"},
		{"another ref", func(id identity) identity { return id.with("ref", "refs/heads/feature") }, nil, func(k *policy.Keyless) { k.SourceRefRegexp = "^refs/heads/(main|release)$" }, "expects the sourceRefRegexp"},
		{"no ref", func(id identity) identity { delete(id.claims, "ref"); return id }, nil, func(k *policy.Keyless) { k.SourceRefRegexp = "^.*$" }, `got ""`},
		{"a self-hosted runner", func(id identity) identity { return id.with("runner", "self-hosted") }, nil, func(k *policy.Keyless) { k.RunnerEnvironment = "github-hosted" }, "runnerEnvironment"},
		{"an e-mail address for a URL", func(id identity) identity { id.subject, id.email = "mail@example.com", true; return id }, nil, none, "mail@example.com"},
		{"two subjects", func(id identity) identity { id.second = "mail@example.com"; return id }, nil, none, "2 subjects"},
		{"another commit", func(id identity) identity { return id.with("digest", strings.Repeat("a", 40)) }, nil, none, "whose certificate is of the commit"},
		{"expired when it signed", func(id identity) identity { id.from = ago(time.Hour); return id }, nil, none, "integrated time outside certificate validity"},
		{"not yet valid when it signed", func(id identity) identity { id.from = ago(-time.Hour); return id }, nil, none, "integrated time outside certificate validity"},
		{"in no certificate log", func(id identity) identity { id.unlisted = true; return id }, nil, none, "SCT"},
		{"in no log", nil, func(wit *witnesses, _ *world) { wit.unlogged, wit.stamped = true, ago(0) }, none, "not enough verified log entries"},
		{"no trusted time", nil, func(wit *witnesses, _ *world) { wit.unpromise = true }, none, "threshold not met"},
		{"time only of the log's record", nil, func(wit *witnesses, _ *world) { wit.unpromise, wit.stamped = true, ago(time.Hour) }, none, "leaf certificate verification failed"},
		{"timestamp over other bytes", nil, func(wit *witnesses, _ *world) { wit.unpromise, wit.stamped, wit.stampOver = true, ago(0), []byte("x") }, none, "threshold not met"},
		{"broken inclusion proof", nil, func(wit *witnesses, _ *world) {
			wit.entry = func(e *rekor.TransparencyLogEntry) { e.InclusionProof.RootHash[0] ^= 1 }
		}, none, "is not proven"},
		{"inclusion proof of another entry", nil, func(wit *witnesses, _ *world) {
			wit.entry = func(e *rekor.TransparencyLogEntry) {
				e.InclusionProof = i.entry("dsse", []byte("{}"), witnesses{}).InclusionProof
			}
		}, none, "is not proven"},
		{"broken promise", nil, func(wit *witnesses, _ *world) {
			wit.entry = func(e *rekor.TransparencyLogEntry) { e.InclusionPromise.SignedEntryTimestamp[9] ^= 1 }
		}, none, "not enough verified log entries"},
		{"moved in time", nil, func(wit *witnesses, _ *world) {
			wit.entry = func(e *rekor.TransparencyLogEntry) { e.IntegratedTime++ }
		}, none, "not enough verified log entries"},
		{"unknown log", nil, func(wit *witnesses, _ *world) {
			wit.entry = func(e *rekor.TransparencyLogEntry) { e.LogId.KeyId[0] ^= 1 }
		}, none, "not enough verified log entries"},
		{"another instance's log", nil, func(wit *witnesses, w *world) {
			wit.bundle = func(b *protobundle.Bundle, _ *instance) {
				old := b.VerificationMaterial.TlogEntries[0]
				b.VerificationMaterial.TlogEntries[0] = stranger.entry("dsse", old.CanonicalizedBody, witnesses{})
			}
		}, none, "not enough verified log entries"},
		{"log entry of another artifact", nil, func(wit *witnesses, _ *world) {
			wit.bundle = func(b *protobundle.Bundle, i *instance) {
				body := hashOfPayload.ReplaceAllString(string(b.VerificationMaterial.TlogEntries[0].CanonicalizedBody), "${1}"+zeros)
				b.VerificationMaterial.TlogEntries[0] = i.entry("dsse", []byte(body), witnesses{})
			}
		}, none, "payload hash"},
		{"the same entry twice", nil, func(wit *witnesses, _ *world) {
			wit.bundle = func(b *protobundle.Bundle, _ *instance) {
				m := b.VerificationMaterial
				m.TlogEntries = append(m.TlogEntries, m.TlogEntries[0])
			}
		}, none, "duplicate tlog entries"},
		{"a key's hint instead of the certificate", nil, func(wit *witnesses, _ *world) {
			wit.bundle = func(b *protobundle.Bundle, _ *instance) {
				b.VerificationMaterial.Content = &protobundle.VerificationMaterial_PublicKey{}
			}
		}, none, "made with a key"},
		{"a certificate of rubbish", nil, func(wit *witnesses, _ *world) {
			wit.bundle = func(b *protobundle.Bundle, _ *instance) {
				b.VerificationMaterial.GetCertificate().RawBytes = []byte("  ")
			}
		}, none, "is not proven"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, hostile := range []bool{true, false} {
				w := newWorld(t, false)
				w.ref = w.release("shop", statement(w, nil))
				id, wit := ci(), witnesses{}
				if hostile && test.id != nil {
					id = test.id(id)
				}
				if hostile && test.wit != nil {
					test.wit(&wit, w)
				}
				w.attach(i.sign(id, statementOf(w.ref.Digest), wit))
				_, err := w.judge(verify.Options{TrustedRoot: i.root()}, byIdentity(test.policy))
				if !hostile {
					if err != nil {
						t.Errorf("the benign twin is refused: %v", err)
					}
					continue
				}
				refused(t, err, verify.Untrusted)
				wantDetail(t, err, test.detail)
			}
		})
	}
}

func TestHostileKeylessNotes(t *testing.T) {
	i := newInstance(t)
	tests := []struct {
		name, detail string
		wit          witnesses
		edit         func(notes map[string]string)
	}{
		{"certificate of blanks", "no certificate in PEM", witnesses{}, func(n map[string]string) { n[verify.CertificateNote] = " \n" }},
		{"no certificate", "made with a key", witnesses{}, func(n map[string]string) { delete(n, verify.CertificateNote) }},
		{"two certificates", "something follows", witnesses{}, func(n map[string]string) { n[verify.CertificateNote] += n[verify.CertificateNote] }},
		{"key for a certificate", "no certificate in PEM", witnesses{}, func(n map[string]string) { n[verify.CertificateNote] = publicPEM }},
		{"body a number", "malformed annotation", witnesses{}, func(n map[string]string) {
			n[verify.LogNote] = `{"SignedEntryTimestamp":"","Payload":{"body":1,"integratedTime":1,"logIndex":1,"logID":"00"}}`
		}},
		{"body null", "malformed annotation", witnesses{}, func(n map[string]string) {
			n[verify.LogNote] = `{"SignedEntryTimestamp":"","Payload":{"body":null,"integratedTime":1,"logIndex":1,"logID":"00"}}`
		}},
		{"duplicate keys", "there twice", witnesses{}, func(n map[string]string) {
			n[verify.LogNote] = strings.Replace(n[verify.LogNote], `"logIndex"`, `"logIndex":1,"logIndex"`, 1)
		}},
		{"keys in another case", "in case only", witnesses{}, func(n map[string]string) {
			n[verify.LogNote] = strings.Replace(n[verify.LogNote], `"logIndex"`, `"LogIndex":1,"logIndex"`, 1)
		}},
		{"another time", "not enough verified log entries", witnesses{}, func(n map[string]string) {
			n[verify.LogNote] = strings.Replace(n[verify.LogNote], `"integratedTime":`, `"integratedTime":1`, 1)
		}},
		{"no log entry", "not enough verified log entries", witnesses{stamped: ago(0)}, func(n map[string]string) { delete(n, verify.LogNote) }},
		{"timestamp that is none", "malformed annotation", witnesses{}, func(n map[string]string) { n[verify.TimestampNote] = "{}" }},
		{"large", "limit of 131072", witnesses{}, func(n map[string]string) { n[verify.CertificateNote] += strings.Repeat("\n", 140_000) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, hostile := range []bool{true, false} {
				w := newWorld(t, false)
				edit := func(map[string]string) {}
				if hostile {
					edit = test.edit
				}
				w.note(w.keylessLayer(i, ci(), test.wit, edit))
				_, err := w.judge(verify.Options{TrustedRoot: i.root()}, with(byIdentity(), legacyOnly))
				if !hostile && err != nil {
					t.Errorf("the benign twin is refused: %v", err)
				}
				if hostile {
					refused(t, err, verify.Untrusted)
					wantDetail(t, err, test.detail)
				}
			}
		})
	}
}

// A legacy signature that was timestamped, and is in the log without a promise of its
// time being believed, is held against the timestamp.
func TestTimestampOfLegacySignature(t *testing.T) {
	i, w := newInstance(t), newWorld(t, false)
	w.note(w.keylessLayer(i, ci(), witnesses{stamped: ago(time.Hour)}))
	_, err := w.judge(verify.Options{TrustedRoot: i.root()}, with(byIdentity(), legacyOnly))
	refused(t, err, verify.Untrusted)
	wantDetail(t, err, "leaf certificate verification failed")
}

func TestRootOfAPolicy(t *testing.T) {
	i, w := newInstance(t), newWorld(t, false)
	w.attach(i.sign(ci(), statementOf(w.ref.Digest), witnesses{}))
	named := byIdentity(func(k *policy.Keyless) { k.TrustedRoot = &policy.TrustedRoot{Data: string(i.root())} })
	for name, own := range map[string][]byte{"none": nil, "another": newInstance(t).root()} {
		if _, err := w.judge(verify.Options{TrustedRoot: own}, named); err != nil {
			t.Errorf("the verifier's root is %s: %v", name, err)
		}
	}
	_, err := w.judge(verify.Options{}, byIdentity())
	refused(t, err, verify.Unavailable, "--trusted-root")

	// A key suffices without any root.
	key := ecdsaKey(t)
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	both := with(byIdentity(), func(p *policy.Policy) {
		p.Authorities = append(p.Authorities, policy.Authority{Name: "manager", Key: &policy.Key{Data: key.pem(t)}})
	})
	if _, err := w.judge(verify.Options{}, both); err != nil {
		t.Error(err)
	}
}

var hashOfPayload = regexp.MustCompile(`("payloadHash":\{"algorithm":"sha256","value":")[0-9a-f]{64}`)

// Bundles of strangers, of this instance and of another, hide nobody.
func TestKeylessStrangers(t *testing.T) {
	i, other, w := newInstance(t), newInstance(t), newWorld(t, false)
	evil := ci()
	evil.subject = strings.Replace(evil.subject, "acme", "evil", 1)
	for range 100 {
		w.attach(i.sign(evil, statementOf(w.ref.Digest), witnesses{stamped: ago(0)}))
		w.attach(other.sign(ci(), statementOf(w.ref.Digest), witnesses{stamped: ago(0)}))
	}
	start := time.Now()
	_, err := w.judge(verify.Options{TrustedRoot: i.root()}, byIdentity())
	refused(t, err, verify.Untrusted, `expects the subject "`+workflow+`", got "https://github.com/evil/`)
	w.attach(i.sign(ci(), statementOf(w.ref.Digest), witnesses{stamped: ago(0)}))
	if _, err := w.judge(verify.Options{TrustedRoot: i.root()}, byIdentity()); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

const publicPEM = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`

// What others push states a commit in its revision, or none.
func TestKeylessOfAnothersArtifact(t *testing.T) {
	i := newInstance(t)
	for revision, good := range map[string]bool{
		"main@sha1:" + commit: true, "main@sha1:" + strings.Repeat("a", 40): false, "": true,
	} {
		w := newWorld(t, false)
		w.ref = w.release("shop", map[string]string{"org.opencontainers.image.revision": revision})
		w.attach(i.sign(ci(), statementOf(w.ref.Digest), witnesses{}))
		_, err := w.judge(verify.Options{TrustedRoot: i.root()}, byIdentity(func(*policy.Keyless) {}))
		if good != (err == nil) {
			t.Errorf("revision %q: %v", revision, err)
		}
		if !good {
			refused(t, err, verify.Untrusted)
			wantDetail(t, err, "whose certificate is of the commit")
		}
	}
}
