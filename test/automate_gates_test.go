package test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"sealift.dev/test/stage"
)

// TestAutomateVerified: an image that CI signed is taken; one that nobody signed, or a stranger, is
// passed over for the next best, and each refusal is told.
func TestAutomateVerified(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0", "1.2.0", "1.3.0")
	y.sign("ci", "shop", "1.1.0")
	y.sign("stranger", "shop", "1.3.0")
	y.commit("one", map[string]string{
		"sealift.yaml": y.follows("trust: trust.yaml", y.semver("shop", ">=1.0.0")), "trust.yaml": y.trust(), "shop.yaml": y.runs("shop", "1.0.0")})
	p := y.bumps(map[string]string{"shop.yaml": "shop:1.1.0"})
	p.says(t, "1.2.0", "1.3.0", "not signed")
	if message := y.log("%B"); !strings.Contains(strings.Join(message, "\n"), "Sealift-Verified: ") {
		t.Errorf("the commit does not say whose signature counted: %q", message)
	}
	y.sign("ci", "shop", "1.3.0")
	y.bumps(map[string]string{"shop.yaml": "shop:1.3.0"})
}

// TestAutomateTrial: a policy in Audit mode lets an unsigned image pass, and says what it would
// have refused.
func TestAutomateTrial(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{
		"sealift.yaml": y.follows("trust: trust.yaml", y.semver("shop", ">=1.0.0")),
		"trust.yaml":   strings.Replace(y.trust(), "spec:\n", "spec:\n  mode: Audit\n", 1), "shop.yaml": y.runs("shop", "1.0.0")})
	y.bumps(map[string]string{"shop.yaml": "shop:1.1.0"}).says(t, `"findings"`, "(Audit)", "not signed")
}

// TestAutomateTagMoves: a tag that is moved to something unsigned after the signature was checked
// does not get into Git, pinned or not.
func TestAutomateTagMoves(t *testing.T) {
	t.Parallel()
	for pin, want := range map[string]string{"Never": "", "IfNotPresent": "@sha256:"} {
		t.Run(pin, func(t *testing.T) {
			t.Parallel()
			var y *yard
			var armed, moved atomic.Bool
			y = newYard(t, yardOptions{registry: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r)
					// The signature of 1.2.0 was read: from here on the tag names something else.
					if strings.Contains(r.URL.Path, "/referrers/") && armed.CompareAndSwap(true, false) {
						moved.Store(true)
						y.swap("shop", "1.2.0")
					}
				})
			}})
			y.tag("shop", "1.0.0", "1.1.0", "1.2.0")
			good := y.digest("shop", "1.2.0")
			y.sign("ci", "shop", "1.1.0")
			y.sign("ci", "shop", "1.2.0")
			y.commit("one", map[string]string{
				"sealift.yaml": y.follows("trust: trust.yaml", y.semver("shop", ">=1.0.0", "pin: "+pin)), "trust.yaml": y.trust(), "shop.yaml": y.runs("shop", "1.0.0")})
			armed.Store(true)
			y.automate()
			if !moved.Load() || y.digest("shop", "1.2.0") == good {
				t.Fatal("the tag was not moved: the test proves nothing")
			}
			content := y.show("main", "shop.yaml")
			switch {
			case strings.Contains(content, "shop:1.1.0"+want), strings.Contains(content, "shop:1.0.0"):
			case pin != "Never" && strings.Contains(content, "shop:1.2.0@"+good):
			default:
				t.Errorf("the tag that moved is in Git:\n%s", content)
			}
			y.automate()
			y.holds(map[string]string{"shop.yaml": map[string]string{"Never": "shop:1.1.0", "IfNotPresent": "shop:1."}[pin]})
		})
	}
}

// swap moves a tag to another image.
func (y *yard) swap(repository, tag string) {
	y.push(repository, tag, mutate.Annotations(empty.Image, map[string]string{"evil": tag}).(v1.Image))
}

// TestAutomateCoolDown: a version waits from when it was first seen, over processes, and loses its
// time with the ledger rather than gaining any.
func TestAutomateCoolDown(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0")
	aged := func(age string) map[string]string {
		return map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0", "minimumAge: "+age))}
	}
	y.commit("one", map[string]string{"shop.yaml": y.runs("shop", "1.0.0")})
	y.commit("an hour", aged("1h"))
	y.stays().says(t, "1.1.0", "1h")
	if y.person(y.bare(), "for-each-ref", "refs/sealift") == "" {
		t.Error("nothing was noted in refs/sealift")
	}
	y.commit("a second", aged("1s"))
	y.until("the version old enough", func() bool { return y.automate().Pushed })
	y.holds(map[string]string{"shop.yaml": "shop:1.1.0"})

	y.tag("shop", "1.2.0")
	y.commit("an hour", aged("1h"))
	y.stays()
	y.person(y.bare(), "update-ref", "-d", "refs/sealift/state/main")
	y.stays().says(t, "1.2.0")
}

// TestAutomateIdleLeavesNothing: with nothing to do nothing is pushed, not even state.
func TestAutomateIdleLeavesNothing(t *testing.T) {
	t.Parallel()
	var pushes atomic.Int64
	y := newYard(t, yardOptions{git: stage.GitOptions{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.String(), "git-receive-pack") {
				pushes.Add(1)
			}
			next.ServeHTTP(w, r)
		})
	}}})
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	y.bumps(map[string]string{"shop.yaml": "shop:1.1.0"})
	y.stays()
	before := pushes.Load()
	for range 3 {
		y.stays()
	}
	if n := pushes.Load() - before; n > 0 {
		t.Errorf("%d requests to push in three idle passes", n)
	}
}
