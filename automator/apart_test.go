package automator

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"sealift.dev/automator/ledger"
)

// apart makes a server that cannot move branch and ledger at once, and says so or does not.
func apart(how string) (config func(string) string, set [2]string) {
	same := func(s string) string { return s }
	if how == "options" {
		return func(s string) string {
			return strings.Replace(s, "branch: main", "branch: main\n  push: {options: [ci.skip]}", 1)
		}, [2]string{"receive.advertisePushOptions", "true"}
	}
	return same, [2]string{"receive.advertiseAtomic", "false"}
}

// TestStopBetweenPushes: where branch and ledger are pushed one by one, a pass that ends
// between them, before or after the server took the push, neither makes a hold of what was
// never there nor forgets what was.
func TestStopBetweenPushes(t *testing.T) {
	for _, how := range []string{"options", "not atomic"} {
		for _, test := range []struct {
			push  int // of a bump: the ledger, then the branch
			taken bool
		}{{1, true}, {2, false}, {2, true}} {
			image := newRegistry(t, "1.1.0")
			ctx, cancel := context.WithCancel(t.Context())
			armed, pushes := false, 0
			around := func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if armed && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack") {
						if pushes++; pushes == test.push && !test.taken {
							cancel()
							return
						}
					}
					h.ServeHTTP(w, r)
					if armed && pushes == test.push {
						cancel()
					}
				})
			}
			config, set := apart(how)
			git := newGitServer(t, map[string]string{"sealift.yaml": config(configFor(image, "*")), "shop.yaml": deployment(image + ":1.0.0")}, around)
			git.git(git.bare, "config", set[0], set[1])
			mustRun(t, git.options())
			mustRun(t, git.options())
			addTags(t, image, "1.2.0")
			armed = true
			_, _ = Run(ctx, git.options())
			armed = false
			cancel()
			there := git.show("shop.yaml") == deployment(image+":1.2.0")
			if there != (test.push == 2 && test.taken) {
				t.Fatalf("%s, %+v: the branch has %q", how, test, git.subjects())
			}
			if there {
				git.revert()
			}
			if result := mustRun(t, git.options()); result.Pushed == there || len(result.Images[0].Holds) > 0 != there {
				t.Errorf("%s, %+v: %+v", how, test, result)
			}
		}
	}
}

// TestIdleWhereApart: what is remembered comes to rest.
func TestIdleWhereApart(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	config, set := apart("options")
	git := newGitServer(t, map[string]string{"sealift.yaml": config(configFor(image, "*")), "shop.yaml": deployment(image + ":1.1.0")}, nil)
	git.git(git.bare, "config", set[0], set[1])
	mustRun(t, git.options())
	mustRun(t, git.options())
	refs := git.git(git.bare, "for-each-ref")
	mustRun(t, git.options())
	if now := git.git(git.bare, "for-each-ref"); now != refs {
		t.Errorf("an idle pass wrote: %s, before %s", now, refs)
	}
	if got := git.git(git.bare, "show", ledger.Ref(branchMain)+":"+ledger.File); strings.Contains(got, "requests") || !strings.Contains(got, `"1.2.0"`) {
		t.Errorf("the ledger is %s", got)
	}
}
