package test

import (
	"fmt"
	"strings"
	"testing"

	"sealift.dev/test/stage/forges"
)

// proposesOn puts a forge of some kind in front of the yard's repository.
func (y *yard) proposesOn(kind forges.Kind) *forges.Server {
	y.t.Helper()
	forge, err := forges.New(forges.Options{Kind: kind, Repository: y.bare(), Token: "forge-token", Labels: []string{"images"}})
	must(y.t, err)
	y.t.Cleanup(func() { forge.Close() })
	y.env = append(y.env, "SEALIFT_FORGE_TOKEN=forge-token")
	api := map[forges.Kind]string{forges.GitHub: "/api/v3/", forges.GitLab: "/api/v4", forges.Gitea: ""}[kind]
	y.flags = []string{"--forge-url", forge.URL + api}
	return forge
}

// asks is the part of sealift.yaml that asks people to merge.
func asks(kind forges.Kind) string {
	return fmt.Sprintf("pullRequests: {provider: %s, labels: [images]}", kind)
}

// TestAutomatePullRequest: an update is a pull request, which is renewed for a newer version, is
// not opened twice, and whose refusal is a hold.
func TestAutomatePullRequest(t *testing.T) {
	t.Parallel()
	for _, kind := range []forges.Kind{forges.GitHub, forges.GitLab, forges.Gitea} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			y := newYard(t, yardOptions{})
			forge := y.proposesOn(kind)
			y.tag("shop", "1.0.0", "1.1.0")
			y.commit("one", map[string]string{"sealift.yaml": y.follows(asks(kind), y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})

			y.proposes(forge, 1, "1.1.0")
			y.proposes(forge, 1, "1.1.0") // again: nothing new
			y.tag("shop", "1.2.0")
			first := y.proposes(forge, 1, "1.2.0")
			must(t, forge.Merge(first.Number))
			y.holds(map[string]string{"shop.yaml": "shop:1.2.0"})
			y.stays()

			y.tag("shop", "1.3.0")
			second := y.proposes(forge, 2, "1.3.0")
			must(t, forge.Reject(second.Number))
			y.stays().says(t, "1.3.0")
			if n := len(forge.Requests()); n != 2 {
				t.Errorf("%d requests after one was refused, want 2", n)
			}
			y.tag("shop", "1.4.0")
			y.proposes(forge, 3, "1.4.0")
			y.sound()
		})
	}
}

// proposes wants a pass that leaves main alone, and the newest of n requests open for a version.
func (y *yard) proposes(forge *forges.Server, n int, version string) forges.Request {
	y.t.Helper()
	if p := y.stays(); p.code != 0 {
		y.t.Fatalf("exit %d: %s%s", p.code, p.out, p.problem)
	}
	all := forge.Requests()
	if len(all) != n {
		y.t.Fatalf("%d requests, want %d: %+v", len(all), n, all)
	}
	r := all[n-1]
	if r.Number < all[0].Number {
		r = all[0]
	}
	if r.State != forges.Open || r.Base != "main" || !strings.Contains(r.Title, version) || !strings.Contains(r.Body, version) || len(r.Labels) != 1 {
		y.t.Errorf("the request is %+v", r)
	}
	if got := y.show(r.Head, "shop.yaml"); !strings.Contains(got, "shop:"+version) {
		y.t.Errorf("%s has\n%s", r.Head, got)
	}
	return r
}

// TestAutomatePullRequestOfPeople: a branch that a person has committed to is left alone.
func TestAutomatePullRequestOfPeople(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	forge := y.proposesOn(forges.GitHub)
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows(asks(forges.GitHub), y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	r := y.proposes(forge, 1, "1.1.0")
	y.pull()
	y.person(y.work, "checkout", "--quiet", "-B", "mine", "origin/"+r.Head)
	y.person(y.work, "commit", "--quiet", "--allow-empty", "--message", "Adapt what reads it")
	y.person(y.work, "push", "--quiet", "origin", "HEAD:"+r.Head)
	theirs := y.tip(r.Head)
	y.tag("shop", "1.2.0")
	y.stays().says(t, r.Head)
	if y.tip(r.Head) != theirs {
		t.Error("a person's commit was pushed over")
	}
}
