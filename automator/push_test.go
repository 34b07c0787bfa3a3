package automator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sealift.dev/automator/ledger"
)

// TestPushBranchOfADigest: what waits on another branch was not taken back, also where its tag
// is the one that is there.
func TestPushBranchOfADigest(t *testing.T) {
	image := newRegistry(t, "edge")
	config := strings.Replace(configWith(image, "      select: {digest: edge}\n"), "branch: main", "branch: main\n  push: {branch: bumps}", 1)
	git := newGitServer(t, map[string]string{
		"sealift.yaml": config, "shop.yaml": deployment(image + ":edge@sha256:" + strings.Repeat("1", 64)),
	}, nil)
	for pass := range 3 {
		if result := mustRun(t, git.options()); result.Pushed != (pass == 0) || len(result.Images[0].Holds) > 0 {
			t.Errorf("pass %d: %+v", pass, result)
		}
	}
	git.git(git.bare, "update-ref", "refs/heads/"+branchMain, "bumps")
	mustRun(t, git.options())
	git.revert()
	if result := mustRun(t, git.options()); result.Pushed || len(result.Images[0].Holds) != 1 {
		t.Errorf("after the revert of the merge: %+v", result)
	}
}

// TestGroupsInEachOthersWay: where the edits of two groups cannot be made together, those of
// the second wait, and there is no commit without content.
func TestGroupsInEachOthersWay(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	config := configWith(image, "      select: {semver: '*'}\n      group: front\n      targets: [{path: run.sh, write: tag, regexp: 'A=(\\S+) B=1.1.0'}]\n"+
		"    - {name: api, image: "+image+", select: {semver: '*'}, group: back, targets: [{path: run.sh, write: tag, regexp: 'B=(\\S+)'}]}\n")
	git := newGitServer(t, map[string]string{"sealift.yaml": config, "run.sh": "A=1.1.0 B=1.1.0\n"}, nil)
	result := mustRun(t, git.options())
	if len(result.Commits) != 1 || len(result.Changes) != 1 || !strings.Contains(fmt.Sprint(result.Notes), "would match something else") {
		t.Errorf("%+v", result)
	}
	if result = mustRun(t, git.options()); len(result.Commits) != 1 || git.show("run.sh") != "A=1.2.0 B=1.2.0\n" {
		t.Errorf("%+v, %q", result, git.show("run.sh"))
	}
}

// TestLedgerBehindTheBranch: a pass that ended between the two pushes wrote what it wrote, and a
// revert of that sticks.
func TestLedgerBehindTheBranch(t *testing.T) {
	image := newRegistry(t, "1.1.0")
	config := strings.Replace(configFor(image, "*"), "branch: main", "branch: main\n  push: {options: [ci.skip]}", 1)
	for _, first := range []bool{false, true} {
		git := newGitServer(t, map[string]string{"sealift.yaml": config, "shop.yaml": deployment(image + ":1.0.0"), "old.yaml": deployment(image + ":1.0.0")}, nil)
		git.git(git.bare, "config", "receive.advertisePushOptions", "true")
		if !first {
			mustRun(t, git.options())
			addTags(t, image, "1.2.0")
		}
		before := git.git(git.bare, "for-each-ref", "--format=%(objectname)", ledger.Ref(branchMain))
		mustRun(t, git.options())
		if before == "" {
			git.commit("ledger", map[string]string{ledger.File: `{"version": 1, "images": {"shop:shop": {"repo": "x"}}}`})
			before = git.tip()
		}
		git.git(git.bare, "update-ref", ledger.Ref(branchMain), strings.TrimSpace(before))
		if result := mustRun(t, git.options()); result.Pushed || len(result.Images[0].Holds) > 0 {
			t.Errorf("first %v: after it ended: %+v", first, result)
		}
		git.commit("back", map[string]string{"shop.yaml": deployment(image + ":1.0.0")})
		if result := mustRun(t, git.options()); result.Pushed || len(result.Images[0].Holds) != 1 {
			t.Errorf("first %v: after the revert: %+v", first, result)
		}
	}
}

// TestLedgerRefusedForAWhile: a server that took the ledger before is asked again, and what it
// did not take is remembered until then.
func TestLedgerRefusedForAWhile(t *testing.T) {
	image := newRegistry(t, "1.1.0")
	git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.0.0")}, nil)
	opts, now := git.options(), time.Now()
	opts.Now = func() time.Time { return now }
	a, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	run := func() Result {
		t.Helper()
		result, err := a.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	run()
	addTags(t, image, "1.2.0")
	git.hook("update", "case $1 in *sealift/*) exit 1;; esac\n")
	if result := run(); !result.Pushed {
		t.Errorf("%+v", result)
	}
	git.revert()
	if result := run(); result.Pushed || len(result.Images[0].Holds) != 1 || !strings.Contains(fmt.Sprint(result.Notes), "does not take it") {
		t.Errorf("after the revert: %+v", result)
	}
	git.hook("update", "exit 0\n")
	now = now.Add(refusedFor)
	run()
	if result := mustRun(t, git.options()); result.Pushed || len(result.Images[0].Holds) != 1 {
		t.Errorf("another process: %+v", result)
	}
	if refs := git.git(git.bare, "for-each-ref"); strings.Contains(refs, ledger.Branch(branchMain)) {
		t.Errorf("there are two ledgers: %s", refs)
	}
}
