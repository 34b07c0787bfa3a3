package synchronizer

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	godigest "github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// TestAgain: what rests on a certificate is verified again after about a day; what
// rests on keys only is not.
func TestAgain(t *testing.T) {
	now := time.Now()
	key := verify.Signer{Authority: "manager", KeyID: "1"}
	certified := verify.Signer{Authority: "ci", Certificate: verify.Certificate{Issuer: "https://issuer.example.com"}}
	for _, tt := range []struct {
		name     string
		verdicts []verify.Verdict
		again    bool
	}{
		{"nothing", nil, false},
		{"a key", []verify.Verdict{{Signers: []verify.Signer{key}, Attestations: []verify.Attested{{Signer: key}}}}, false},
		{"a certificate", []verify.Verdict{{Signers: []verify.Signer{key}}, {Signers: []verify.Signer{key, certified}}}, true},
		{"an attestation's", []verify.Verdict{{Signers: []verify.Signer{key}, Attestations: []verify.Attested{{Signer: certified}}}}, true},
	} {
		got := again(tt.verdicts, now)
		if (got.After(now.Add(20*time.Hour)) && got.Before(now.Add(28*time.Hour))) != tt.again || got.IsZero() == tt.again {
			t.Errorf("%s: again in %v", tt.name, got.Sub(now))
		}
	}
}

// TestLoadAgain: a verdict that is due again ends with a refusal, and not with a
// registry that cannot answer; other policies, and an end that has come, wait for nobody.
func TestLoadAgain(t *testing.T) {
	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`
	digest := godigest.FromString(manifest)
	answers := http.NewServeMux()
	answers.HandleFunc("/v2/deploy/shop/manifests/"+digest.String(), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = w.Write([]byte(manifest))
	})
	up, down := httptest.NewServer(answers), httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(up.Close)
	t.Cleanup(down.Close)
	verifier, err := verify.New(verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	under := trusting()
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name         string
		server       *httptest.Server
		until, again time.Time
		policies     []verify.NamedPolicy // of before
		refused      verify.Reason        // empty: it is kept
	}{
		{"it is not due", up, future, future, under, ""},
		{"the registry cannot answer", down, future, past, under, ""},
		{"it is refused", up, future, past, under, verify.NotSigned},
		{"it has ended, and the registry cannot answer", down, past, future, under, verify.NotFound},
		{"another policy, and the registry cannot answer", down, future, future, nil, verify.NotFound},
	} {
		place := artifact.Repository{Host: strings.TrimPrefix(tt.server.URL, "http://"), Path: "deploy/shop"}
		d := Delivery{Source: Source{Repository: place, Insecure: true}, Environment: "prod", Policies: under}
		before := &loaded{release: Release{Ref: place.At(digest)}, environment: "prod", policies: fingerprint(tt.policies), until: tt.until, again: tt.again,
			content: &content{}}
		s := New(nil, verifier, Options{})
		memo := s.memo(d)
		memo.wanted = before
		_, _ = s.load(d, place.At(digest), memo)
		answered(memo)
		got, err := s.load(d, place.At(digest), memo)
		var refusal *verify.Refusal
		switch errors.As(err, &refusal); {
		case tt.refused == "" && (err != nil || got != before || !got.again.After(time.Now())):
			t.Errorf("%s: it is not kept: %v", tt.name, err)
		case tt.refused != "" && (refusal == nil || refusal.Reason != tt.refused):
			t.Errorf("%s: error %v, want %s", tt.name, err, tt.refused)
		}
	}
}

// TestWantRaises: the count of what a policy in Audit mode lets in without a signature
// is anybody's word, and refuses nothing later.
func TestWantRaises(t *testing.T) {
	ref := artifact.Repository{Host: "registry.example.com", Path: "deploy/shop"}.At(godigest.FromString("one"))
	seven := Watermark{Repository: ref.Repository.String(), Epoch: 1, Sequence: 7, Digest: godigest.FromString("seven")}
	d := Delivery{Source: Source{Repository: ref.Repository, Digest: ref.Digest}, Environment: "prod", Interval: time.Minute}
	for _, tt := range []struct {
		name     string
		signedBy []string
		epoch    int64
		want     int64
	}{
		{"signed", []string{"ci"}, 9, 9},
		{"not signed", nil, 9, 1},
		{"not signed, and older", nil, 0, 1},
	} {
		release := Release{Ref: ref, SignedBy: tt.signedBy, Statement: artifact.Statement{Repository: seven.Repository, Epoch: tt.epoch, Sequence: 1}}
		memo := &memo{wanted: &loaded{release: release, environment: "prod", policies: fingerprint(d.Policies)}}
		_, got, err := New(nil, nil, Options{}).want(d, memo, State{Accepted: map[string]Watermark{seven.Repository: seven}})
		if err != nil || got.Epoch != tt.want {
			t.Errorf("%s: epoch %d, want %d: %v", tt.name, got.Epoch, tt.want, err)
		}
	}
}

// answered waits until nothing is asked for any more.
func answered(memo *memo) {
	for _, q := range memo.errands {
		for busy := true; busy; time.Sleep(time.Millisecond) {
			q.mu.Lock()
			busy = q.busy
			q.mu.Unlock()
		}
	}
}

// trusting is a policy of one key.
func trusting() []verify.NamedPolicy {
	const key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAht/zmJBhNmXzVBeC40p6GyVUuKnph1e2J+fcjw9qOMs=\n-----END PUBLIC KEY-----\n"
	return []verify.NamedPolicy{{Name: "shop", Policy: policy.Policy{Trust: policy.Trust{Authorities: []policy.Authority{{Name: "ci", Key: &policy.Key{Data: key}}}}}}}
}
