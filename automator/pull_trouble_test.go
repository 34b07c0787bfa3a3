package automator

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
	"sealift.dev/test/stage/forges"
)

// TestProtectedBaseDoesNotMatter refuses pushes to main, as a protected branch does.
func TestProtectedBaseDoesNotMatter(t *testing.T) {
	r := newPullRig(t, forges.GitLab, "", "")
	r.hook("update", `[ "$1" != refs/heads/main ] || { echo "protected"; exit 1; }`)
	addTags(t, r.images[0], "1.1.0")
	r.run()
	r.requests("open sealift/images: Update app0 to 1.1.0")
}

// TestForbiddenBranchIsReported refuses the automator's branches; the other group goes on.
func TestForbiddenBranchIsReported(t *testing.T) {
	r := newPullRig(t, forges.GitHub, "", "web", "db")
	r.hook("update", `[ "$1" != refs/heads/sealift/web ] || { echo "not here"; exit 1; }`)
	addTags(t, r.images[0], "1.1.0")
	addTags(t, r.images[1], "1.1.0")
	result, err := Run(t.Context(), r.opts)
	if err == nil || !strings.Contains(err.Error(), "branch protection") || result.Attempts != 1 {
		t.Errorf("%v, attempts %d", err, result.Attempts)
	}
	r.requests("open sealift/db: Update app1 to 1.1.0")
}

// TestPersonsWordsStay edits title and body; they are rewritten only with new content.
func TestPersonsWordsStay(t *testing.T) {
	r := newPullRig(t, forges.GitHub, "", "")
	addTags(t, r.images[0], "1.1.0")
	r.run()
	if err := r.forge.Edit(1, func(p *forges.Request) { p.Title, p.Body = "Please review", "Look here. "+p.Body }); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.requests("open sealift/images: Please review")
	addTags(t, r.images[0], "1.2.0")
	r.run()
	r.requests("open sealift/images: Update app0 to 1.2.0")
}

// TestOutageClosesNothing has a registry that fails, so that nothing is wanted.
func TestOutageClosesNothing(t *testing.T) {
	r := newPullRig(t, forges.GitHub, "", "")
	addTags(t, r.images[0], "1.1.0")
	r.run()
	r.person("main", "Break the registry", map[string]string{"sealift.yaml": strings.ReplaceAll(r.show("sealift.yaml"), r.images[0], "127.0.0.1:1/apps/shop")})
	if _, err := Run(t.Context(), r.opts); err == nil {
		t.Error("a registry that is not there is no error")
	}
	r.requests("open sealift/images: Update app0 to 1.1.0")
}

// TestPushOptionsWithoutAToken asks GitLab by the push.
func TestPushOptionsWithoutAToken(t *testing.T) {
	r := newPullRig(t, forges.GitLab, `, labels: [automerge]`, "")
	r.opts.Forge = Forge{}
	r.git(r.bare, "config", "receive.advertisePushOptions", "true")
	seen := filepath.Join(t.TempDir(), "options")
	r.hook("pre-receive", `i=0; while [ $i -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do eval "echo \$GIT_PUSH_OPTION_$i" >> `+seen+`; i=$((i+1)); done`)
	addTags(t, r.images[0], "1.1.0")
	r.run()
	options, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	want := "merge_request.create\nmerge_request.target=main\nmerge_request.title=Update app0 to 1.1.0\nmerge_request.remove_source_branch\nmerge_request.label=automerge\n"
	if string(options) != want {
		t.Errorf("got %q, want %q", options, want)
	}
	r.run()
	if again, _ := os.ReadFile(seen); string(again) != want {
		t.Errorf("the second pass pushed %q", again[len(want):])
	}
	r.git(r.bare, "update-ref", "refs/heads/main", "sealift/images")
	r.run()
	r.revert()
	if result := r.run(); len(result.Images[0].Holds) != 1 || r.at("sealift/images", "app0.yaml") != "" {
		t.Errorf("after the revert of the merge: %+v", result)
	}
}

// TestForgeFailsAfterThePush has a branch without a request: the next pass opens it.
func TestForgeFailsAfterThePush(t *testing.T) {
	for _, kind := range forgeKinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newPullRig(t, kind, "", "")
			addTags(t, r.images[0], "1.1.0")
			r.fail.Store(true)
			if _, err := Run(t.Context(), r.opts); err == nil || !strings.Contains(err.Error(), "503") {
				t.Errorf("%v", err)
			}
			tip := r.git(r.bare, "rev-parse", "sealift/images")
			r.fail.Store(false)
			r.run()
			r.requests("open sealift/images: Update app0 to 1.1.0")
			if got := r.git(r.bare, "rev-parse", "sealift/images"); got != tip {
				t.Errorf("the branch was pushed again: %s, then %s", tip, got)
			}
		})
	}
}

// TestManyAutomatorsOpenOnePullRequest runs them at the same time.
func TestManyAutomatorsOpenOnePullRequest(t *testing.T) {
	for _, kind := range forgeKinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newPullRig(t, kind, "", "web", "db")
			addTags(t, r.images[0], "1.1.0")
			addTags(t, r.images[1], "1.1.0")
			var group sync.WaitGroup
			for range 5 {
				group.Go(func() {
					if _, err := Run(t.Context(), r.opts); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			open := map[string]int{}
			for _, p := range r.forge.Requests() {
				open[string(p.State)+" "+p.Title]++
			}
			if len(open) != 2 || open["open Update app0 to 1.1.0"] != 1 || open["open Update app1 to 1.1.0"] != 1 {
				t.Errorf("%v", open)
			}
		})
	}
}

// TestMovingTag proposes a digest, and a closed request holds just that digest.
func TestMovingTag(t *testing.T) {
	r := newPullRig(t, forges.GitHub, "", "")
	addTags(t, r.images[0], "latest")
	r.person("main", "Follow latest", map[string]string{
		"sealift.yaml": strings.ReplaceAll(r.show("sealift.yaml"), "semver: '*'", "digest: latest"),
		"app0.yaml":    strings.ReplaceAll(r.show("app0.yaml"), ":1.0.0", ":latest"),
	})
	r.run()
	p := r.requests("open sealift/images: Update app0 to latest")[0]
	if !strings.Contains(r.at("sealift/images", "app0.yaml"), ":latest@sha256:") {
		t.Errorf("%s", r.at("sealift/images", "app0.yaml"))
	}
	if err := r.forge.Reject(p.Number); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.run()
	r.requests("closed sealift/images: Update app0 to latest")
	moveTag(t, r.images[0], "latest")
	r.run()
	r.requests("closed sealift/images: Update app0 to latest", "open sealift/images: Update app0 to latest")
}

// TestDryRunWithoutAToken shows the diff, and touches neither branch nor forge.
func TestDryRunWithoutAToken(t *testing.T) {
	r := newPullRig(t, forges.GitHub, "", "")
	addTags(t, r.images[0], "1.1.0")
	r.opts.Forge.Token, r.opts.DryRun = nil, true
	result := r.run()
	if !strings.Contains(result.Diff, "1.1.0") || len(r.forge.Log()) > 0 || r.at("sealift/images", "app0.yaml") != "" {
		t.Errorf("%q, %q", result.Diff, r.forge.Log())
	}
	r.opts.DryRun = false
	if _, err := Run(t.Context(), r.opts); err == nil || !strings.Contains(err.Error(), "SEALIFT_FORGE_TOKEN") {
		t.Errorf("%v", err)
	}
}

// TestIdlePassIsCheap counts what a watch sends while a request is open and nothing happens.
func TestIdlePassIsCheap(t *testing.T) {
	r := newPullRig(t, forges.GitHub, "", "")
	addTags(t, r.images[0], "1.1.0")
	a, err := New(r.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for range 2 {
		if _, err := a.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before, asked := a.Traffic(), len(r.forge.Log())
	if _, err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := r.forge.Log()[asked:]
	if got := a.Traffic().Requests - before.Requests; got > 2 || len(log) != 1 || !strings.HasSuffix(log[0], " 304") {
		t.Errorf("%d requests to Git, and to the forge %q", got, log)
	}
}

// TestEveryClosedPullRequestHolds loses the ledger after two of them.
func TestEveryClosedPullRequestHolds(t *testing.T) {
	for _, kind := range forgeKinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newPullRig(t, kind, "", "")
			for i, version := range []string{"1.1.0", "1.2.0"} {
				addTags(t, r.images[0], version)
				r.run()
				if err := r.forge.Reject(i + 1); err != nil {
					t.Fatal(err)
				}
			}
			r.git(r.bare, "update-ref", "-d", ledger.Ref(branchMain))
			r.run()
			r.requests("closed sealift/images: Update app0 to 1.1.0", "closed sealift/images: Update app0 to 1.2.0")
		})
	}
}

// TestReleaseLiftsAClosedPullRequest also after the ledger was lost.
func TestReleaseLiftsAClosedPullRequest(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("ledger lost %v", lost), func(t *testing.T) {
			r := newPullRig(t, forges.GitHub, "", "")
			addTags(t, r.images[0], "1.1.0")
			r.run()
			if err := r.forge.Reject(1); err != nil {
				t.Fatal(err)
			}
			r.run()
			if lost {
				r.git(r.bare, "update-ref", "-d", ledger.Ref(branchMain))
			}
			file, _, err := hold.Release(nil, hold.Entry{Image: "app0", Since: time.Now()}, true)
			if err != nil {
				t.Fatal(err)
			}
			r.commit("Release", map[string]string{hold.Path: string(file)})
			r.run()
			r.requests("closed sealift/images: Update app0 to 1.1.0", "open sealift/images: Update app0 to 1.1.0")
		})
	}
}

// TestBaseIsNoHead has a group whose branch would be the base.
func TestBaseIsNoHead(t *testing.T) {
	r := newPullRig(t, forges.GitHub, ", branch: m", "ain")
	addTags(t, r.images[0], "1.1.0")
	before := r.tip()
	if _, err := Run(t.Context(), r.opts); err == nil || !strings.Contains(err.Error(), "merged into") || r.tip() != before {
		t.Errorf("%v, main at %s", err, r.tip())
	}
}
