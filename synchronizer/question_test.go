package synchronizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	godigest "github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/test/stage"
	"sealift.dev/verify"
)

func scripted(t *testing.T) *stage.Scripted {
	t.Helper()
	registry, err := stage.NewScripted(stage.ScriptedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	return registry
}

// asked counts the requests to a registry by method and path.
func asked(registry *stage.Scripted) map[string]int {
	counts := map[string]int{}
	for _, a := range registry.Asked() {
		counts[a.Method+" "+a.Path]++
	}
	return counts
}

func newUntrusting(t *testing.T, options Options) *Synchronizer {
	t.Helper()
	verifier, err := verify.New(verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return New(nil, verifier, options)
}

func following(registry *stage.Scripted, i int) Delivery {
	return Delivery{Namespace: "shop", Name: fmt.Sprint("shop-", i), Environment: ".", Interval: time.Hour,
		Source: Source{Repository: artifact.Repository{Host: registry.Host, Path: "deploy/shop"}, Tag: "main", Insecure: true}}
}

// TestOneListForRanges: of ten Deliveries with two ranges the registry hears one
// question for its tags, and one for each tag chosen; no tag's manifest is read.
func TestOneListForRanges(t *testing.T) {
	registry, s := scripted(t), newUntrusting(t, Options{})
	tags := make([]string, 1000)
	for i := range tags {
		tags[i] = fmt.Sprintf("1.%d.0", i)
	}
	list, err := json.Marshal(map[string]any{"tags": tags})
	if err != nil {
		t.Fatal(err)
	}
	head := stage.Answer{Header: http.Header{"Docker-Content-Digest": {godigest.FromString("one").String()}}}
	registry.On("GET", "/v2/deploy/shop/tags/list", stage.Answer{Body: list})
	registry.On("HEAD", "/v2/deploy/shop/manifests/1.7.0", head)
	registry.On("HEAD", "/v2/deploy/shop/manifests/1.999.0", head)
	for i := range 10 {
		d := following(registry, i)
		d.Source.Tag, d.Source.Semver = "", []string{"1.7.x", "^1"}[i%2]
		if _, err := concluded(t, s, d); err == nil {
			t.Fatal("something was delivered")
		}
	}
	want := map[string]int{"GET /v2/deploy/shop/tags/list": 1, "HEAD /v2/deploy/shop/manifests/1.7.0": 1, "HEAD /v2/deploy/shop/manifests/1.999.0": 1}
	if got := asked(registry); !maps.Equal(got, want) {
		t.Errorf("requests %v, want %v", got, want)
	}
}

// TestSharedTag: ten Deliveries of one tag are one question, and a person's request is
// another.
func TestSharedTag(t *testing.T) {
	registry, s := scripted(t), newUntrusting(t, Options{})
	registry.On("HEAD", "/v2/deploy/shop/manifests/main", stage.Answer{Header: http.Header{"Docker-Content-Digest": {godigest.FromString("one").String()}}})
	const head = "HEAD /v2/deploy/shop/manifests/main"
	for i := range 10 {
		_, _ = concluded(t, s, following(registry, i))
	}
	if n := asked(registry)[head]; n != 1 {
		t.Errorf("ten Deliveries of one tag: %d questions", n)
	}
	d := following(registry, 3)
	d.Requested = "now"
	_, _ = concluded(t, s, d)
	if n := asked(registry)[head]; n != 2 {
		t.Errorf("a request: %d questions", n)
	}
	if len(s.tags) != 1 {
		t.Errorf("%d questions are kept", len(s.tags))
	}
}

// TestRetryAfterIsHeeded: a registry that wants to be left alone is, by all who have the
// same access, whatever their intervals and requests.
func TestRetryAfterIsHeeded(t *testing.T) {
	registry, s := scripted(t), newUntrusting(t, Options{})
	registry.On("", "*", stage.Answer{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3600"}}})
	d := following(registry, 0)
	d.Interval = time.Millisecond
	out, err := concluded(t, s, d)
	if err == nil || out.Next < 59*time.Minute {
		t.Errorf("the next question is in %s: %v", out.Next, err)
	}
	d.Requested = "now"
	_, _ = s.Deliver(t.Context(), d, noMemory{})
	other := following(registry, 1)
	other.Source.Tag = "other"
	out, err = concluded(t, s, other)
	if err == nil || !strings.Contains(err.Error(), "left alone") || out.Next < 59*time.Minute {
		t.Errorf("another tag: next in %s: %v", out.Next, err)
	}
	if n := len(registry.Asked()); n != 1 {
		t.Errorf("%d requests, want one", n)
	}
}

// TestTarpitDelaysNobody: registries that take requests and never answer hold neither a
// pass nor the places of others, and the answer of a good one brings a pass.
func TestTarpitDelaysNobody(t *testing.T) {
	woken := make(chan engine.Owner, 1000)
	good, s := scripted(t), newUntrusting(t, Options{Changed: func(o engine.Owner) { woken <- o }})
	good.On("HEAD", "/v2/deploy/shop/manifests/main", stage.Answer{Header: http.Header{"Docker-Content-Digest": {godigest.FromString("one").String()}}})
	for range 5 { // of which each takes all that one host may have
		slow := tarpit(t)
		for i := range maxPerHost {
			d := following(slow, i)
			d.Name, d.Source.Tag = fmt.Sprint(slow.Host, i), fmt.Sprint("tag-", i)
			if out, err := s.Deliver(t.Context(), d, noMemory{}); err != nil || out.Asking == 0 {
				t.Fatalf("the pass has an answer: %v", err)
			}
		}
	}
	d := following(good, 0)
	if _, err := s.Deliver(t.Context(), d, noMemory{}); err != nil {
		t.Fatal(err)
	}
	if owner := <-woken; owner != d.Owner() {
		t.Errorf("%s is woken, not %s", owner, d.Owner())
	}
}

// TestNobodyWaitsForDeadQuestions: what nobody wants to know any more is not asked,
// however often a Delivery changes while its registry is slow.
func TestNobodyWaitsForDeadQuestions(t *testing.T) {
	registry, s := scripted(t), newUntrusting(t, Options{})
	release := make(chan struct{})
	registry.On("", "*", stage.Answer{Do: func(w http.ResponseWriter, r *http.Request) {
		<-release
		http.NotFound(w, r)
	}})
	const changes = 5 * maxPerHost
	d := following(registry, 0)
	for i := range changes {
		d.Source.Tag = fmt.Sprint("tag-", i)
		if _, err := s.Deliver(t.Context(), d, noMemory{}); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	if _, err := concluded(t, s, d); err == nil {
		t.Error("there is no such tag")
	}
	if n := len(registry.Asked()); n > maxPerHost+1 {
		t.Errorf("%d requests for %d tags of which one is wanted", n, changes)
	}
}

// TestRetryAfterIsRead: as seconds or as a date, and never for longer than an hour; what
// cannot be read counts as not said.
func TestRetryAfterIsRead(t *testing.T) {
	for told, want := range map[string]time.Duration{
		"120": 2 * time.Minute,
		time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat): 9 * time.Minute,
		"999999999999":                  maxHold,
		"99999999999999999999999999999": 0,
		"Fri, 31 Dec 9999 23:59:59 GMT": maxHold,
		"Thu, 01 Jan 1970 00:00:00 GMT": 0,
		"-5":                            0,
		"soon":                          0,
	} {
		registry, s := scripted(t), newUntrusting(t, Options{})
		registry.On("", "*", stage.Answer{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {told}}})
		out, err := concluded(t, s, following(registry, 0))
		if err == nil || out.Next < want || want == 0 && out.Next > time.Minute || out.Next > maxHold+maxHold/5 {
			t.Errorf("%q: the next question is in %s: %v", told, out.Next, err)
		}
	}
}

// TestBrokenTokenServer: a registry whose token server fails, or says nothing that is a
// token, is unavailable or refuses access.
func TestBrokenTokenServer(t *testing.T) {
	for name, tt := range map[string]struct {
		token stage.Answer
		want  error
	}{
		"down":        {stage.Answer{Status: http.StatusServiceUnavailable}, artifact.ErrUnavailable},
		"refuses":     {stage.Answer{Status: http.StatusUnauthorized}, artifact.ErrUnauthorized},
		"no token":    {stage.Answer{Body: []byte(`{}`)}, artifact.ErrUnavailable},
		"half a body": {stage.Answer{Body: []byte(`{"token":"a`)}, artifact.ErrUnavailable},
	} {
		registry, s := scripted(t), newUntrusting(t, Options{})
		challenge := fmt.Sprintf(`Bearer realm="http://%s/token",service="registry"`, registry.Host)
		registry.On("", "*", stage.Answer{Status: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {challenge}}})
		registry.On("GET", "/token", tt.token)
		d := following(registry, 0)
		if _, err := concluded(t, s, d); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tarpit is a registry that takes requests and answers none.
func tarpit(t *testing.T) *stage.Scripted {
	t.Helper()
	registry := scripted(t)
	registry.On("", "*", stage.Answer{Do: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }})
	return registry
}

// TestAnotherNamespaceAsks: a question that a namespace with no place left wants
// answered, too, is asked in the name of another.
func TestAnotherNamespaceAsks(t *testing.T) {
	woken := make(chan engine.Owner, 1000)
	good, s := scripted(t), newUntrusting(t, Options{Changed: func(o engine.Owner) { woken <- o }})
	good.On("HEAD", "/v2/deploy/shop/manifests/main", stage.Answer{Header: http.Header{"Docker-Content-Digest": {godigest.FromString("one").String()}}})
	s.asking = newFair(8, 8)
	slow := tarpit(t)
	var hostile Delivery
	for i := range 20 {
		hostile = following(slow, i)
		hostile.Namespace, hostile.Source.Tag = "hostile", fmt.Sprint("tag-", i)
		_, _ = s.Deliver(t.Context(), hostile, noMemory{})
	}
	hostile.Name, hostile.Source = "follower", following(good, 0).Source
	honest := following(good, 0)
	for _, d := range []Delivery{hostile, honest} {
		if out, err := s.Deliver(t.Context(), d, noMemory{}); err != nil || out.Asking == 0 {
			t.Fatalf("the pass has an answer: %v", err)
		}
	}
	both := map[engine.Owner]bool{<-woken: true, <-woken: true}
	if !both[honest.Owner()] || !both[hostile.Owner()] {
		t.Errorf("%v are woken", both)
	}
	if n := asked(good)["HEAD /v2/deploy/shop/manifests/main"]; n != 1 {
		t.Errorf("%d questions for one tag", n)
	}
}

// TestHangingVerificationsComputeNothing: more releases whose signatures never come than
// can be verified at once, of as many namespaces, keep no other one from being judged.
func TestHangingVerificationsComputeNothing(t *testing.T) {
	good, slow, s := scripted(t), tarpit(t), newUntrusting(t, Options{})
	s.asking = newFair(1000, 1000)
	pinned := func(registry *stage.Scripted, i int) Delivery {
		d := following(registry, i)
		d.Source.Tag, d.Source.Digest, d.Policies = "", godigest.FromString(d.Name), trusting()
		return d
	}
	for i := range 3 * maxTurns() {
		d := pinned(slow, i)
		d.Namespace = fmt.Sprint("hostile-", i)
		_, _ = s.Deliver(t.Context(), d, noMemory{})
	}
	for len(slow.Asked()) < 3*maxTurns() {
		time.Sleep(time.Millisecond)
	}
	var refusal *verify.Refusal
	if _, err := concluded(t, s, pinned(good, 0)); !errors.As(err, &refusal) || refusal.Reason != verify.NotFound {
		t.Errorf("the release is not judged: %v", err)
	}
}
