package automator

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sealift.dev/automator/ledger"
)

// automated are the fields of one image behind its name and repository.
func configWith(image, fields string) string {
	return strings.Replace(configFor(image, "*"), "      select: {semver: \"*\"}\n", fields, 1)
}

func mustRun(t *testing.T, opts Options) Result {
	t.Helper()
	result, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestIdlePassAsksForRefsAlone: one request to Git, no new ledger.
func TestIdlePassAsksForRefsAlone(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
	a, err := New(git.options())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := a.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	refs, before := git.git(git.bare, "for-each-ref"), a.Traffic()
	if result, err := a.Run(t.Context()); err != nil || result.Pushed {
		t.Errorf("%+v, %v", result, err)
	}
	if after := a.Traffic(); after.Requests != before.Requests+1 {
		t.Errorf("%d requests for an idle pass", after.Requests-before.Requests)
	}
	if now := git.git(git.bare, "for-each-ref"); now != refs {
		t.Errorf("an idle pass wrote: %s, before %s", now, refs)
	}
	if !strings.Contains(refs, ledger.Ref(branchMain)) {
		t.Errorf("there is no ledger in %s", refs)
	}
}

// TestRevertSticks: what a person took back is not written again, a newer version is.
func TestRevertSticks(t *testing.T) {
	for _, lost := range []bool{false, true} {
		image := newRegistry(t, "1.1.0", "1.2.0")
		git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
		if result := mustRun(t, git.options()); !result.Pushed {
			t.Fatalf("%+v", result)
		}
		git.revert()
		if lost {
			git.git(git.bare, "update-ref", "-d", ledger.Ref(branchMain))
		}
		for range 2 {
			result := mustRun(t, git.options())
			if result.Pushed || len(result.Images[0].Holds) != 1 {
				t.Errorf("lost ledger %v: after the revert: %+v", lost, result)
			}
		}
		addTags(t, image, "1.3.0")
		if result := mustRun(t, git.options()); !result.Pushed || result.Images[0].Tag != "1.3.0" {
			t.Errorf("lost ledger %v: a newer version: %+v", lost, result)
		}
	}
}

// TestRevertedDowngradeSticks: what an allowed downgrade wrote is not written again once a
// person took it back, nor anything lower.
func TestRevertedDowngradeSticks(t *testing.T) {
	image := newRegistry(t, "1.1.0", "1.2.0")
	config := configWith(image, "      select: {semver: '*'}\n      allowDowngrade: true\n")
	git := newGitServer(t, map[string]string{"sealift.yaml": config, "shop.yaml": deployment(image + ":1.3.0")}, nil)
	if result := mustRun(t, git.options()); !result.Pushed || result.Images[0].Tag != "1.2.0" {
		t.Fatalf("%+v", result)
	}
	git.revert()
	for range 2 {
		result := mustRun(t, git.options())
		if result.Pushed || len(result.Images[0].Holds) != 1 || !strings.HasPrefix(result.Images[0].Holds[0], "1.2.0 and below: ") {
			t.Errorf("after the revert: %+v", result)
		}
	}
}

// TestGroups makes one commit for each, on one another, also in one file.
func TestGroups(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	config := configWith(image, "      select: {semver: '*'}\n      group: front\n    - {name: api, image: "+image+", select: {semver: '*'}, group: back}\n")
	both := deployment(image+":1.1.0") + "  other: 1.0.0 # {\"$imagepolicy\": \"api:api:tag\"}\n"
	git := newGitServer(t, map[string]string{"sealift.yaml": config, "shop.yaml": both}, nil)
	result := mustRun(t, git.options())
	if len(result.Commits) != 2 || result.Commits[0].Group != "front" || result.Commit != git.tip() {
		t.Errorf("%+v", result)
	}
	if got := strings.Join(git.subjects(), ","); got != "Update api to 1.2.0,Update shop to 1.2.0,first" {
		t.Errorf("commits %s", got)
	}
	if got := git.show("shop.yaml"); strings.Contains(got, "1.1.0") || strings.Contains(got, "1.0.0") {
		t.Errorf("shop.yaml is %q", got)
	}
	first := git.git(git.bare, "show", branchMain+"~1:shop.yaml")
	if !strings.Contains(first, "1.0.0") || strings.Contains(first, "1.1.0") {
		t.Errorf("the first commit has %q", first)
	}
}

func TestPushBranch(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	config := strings.Replace(configFor(image, "*"), "branch: main", "branch: main\n  push: {branch: bumps}", 1)
	git := newGitServer(t, map[string]string{"sealift.yaml": config, "shop.yaml": deployment(image + ":1.1.0")}, nil)
	base := git.tip()
	result := mustRun(t, git.options())
	if !result.Pushed || result.Target != "bumps" || git.tip() != base {
		t.Fatalf("%+v", result)
	}
	bumps := func() string { return strings.TrimSpace(git.git(git.bare, "rev-parse", "bumps")) }
	if result = mustRun(t, git.options()); result.Pushed {
		t.Errorf("pushed again: %+v", result)
	}
	git.commit("person", map[string]string{"other": "x"})
	if result = mustRun(t, git.options()); !result.Pushed || strings.TrimSpace(git.git(git.bare, "rev-parse", "bumps~1")) != git.tip() {
		t.Errorf("the branch is not made anew from the base: %+v", result)
	}
	tree := strings.TrimSpace(git.git(git.bare, "rev-parse", "bumps^{tree}"))
	commit := strings.TrimSpace(git.git(git.bare, "commit-tree", "-p", "bumps", "-m", "a person's", tree))
	git.git(git.bare, "update-ref", "refs/heads/bumps", commit)
	addTags(t, image, "1.3.0")
	result = mustRun(t, git.options())
	if result.Pushed || bumps() != commit || !strings.Contains(fmt.Sprint(result.Notes), "is by Ann") {
		t.Errorf("a person's commit on the branch: %+v", result)
	}
	git.git(git.bare, "update-ref", "refs/heads/"+branchMain, commit)
	if result = mustRun(t, git.options()); !result.Pushed || len(result.Images[0].Holds) > 0 {
		t.Errorf("after the merge: %+v", result)
	}
}

// TestManyWriters lets automators of different images, and of the same ones, push to one
// branch at once: no update is lost, and none is made twice.
func TestManyWriters(t *testing.T) {
	const writers, images = 20, 10
	image := newRegistry(t, "1.2.0")
	files := map[string]string{}
	config := "apiVersion: sealift.dev/v1alpha1\nkind: Config\nautomate:\n  images:\n"
	configs := make([]string, images)
	for i := range images {
		entry := fmt.Sprintf("    - {name: n%d, image: %s, select: {semver: '*'}}\n", i, image)
		configs[i] = config + entry
		files[fmt.Sprintf("n%d.yaml", i)] = fmt.Sprintf("a: 1.1.0 # {\"$imagepolicy\": \"n%d:n%d:tag\"}\n", i, i)
	}
	git := newGitServer(t, files, nil)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			opts := git.options()
			opts.Config = []byte(configs[i%images])
			if _, err := Run(t.Context(), opts); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i := range images {
		if got := git.show(fmt.Sprintf("n%d.yaml", i)); !strings.HasPrefix(got, "a: 1.2.0 ") {
			t.Errorf("n%d.yaml is %q", i, got)
		}
	}
	if subjects := git.subjects(); len(subjects) != images+1 {
		t.Errorf("%d commits: %q", len(subjects), subjects)
	}
	opts := git.options()
	all := config
	for i := range images {
		all += strings.TrimPrefix(configs[i], config)
	}
	opts.Config = []byte(all)
	if result := mustRun(t, opts); result.Pushed || strings.Contains(fmt.Sprint(result.Images), "reverted") {
		t.Errorf("afterwards: %+v", result)
	}
}

// TestBranchesAreApart: what one branch of a repository is ahead of another is no revert there,
// and neither writes the other's ledger.
func TestBranchesAreApart(t *testing.T) {
	image := newRegistry(t, "1.0.0", "1.1.0", "1.2.0")
	git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "<1.2.0"), "shop.yaml": deployment(image + ":1.0.0")}, nil)
	git.git(git.bare, "branch", "release/next", branchMain)
	run := func(branch, semver string) Result {
		opts := git.options()
		opts.Branch, opts.Config = branch, []byte(configFor(image, semver))
		return mustRun(t, opts)
	}
	if r := run("release/next", "*"); !r.Pushed || r.Images[0].Tag != "1.2.0" {
		t.Fatalf("%+v", r)
	}
	if r := run(branchMain, "<1.2.0"); !r.Pushed || r.Images[0].Tag != "1.1.0" {
		t.Errorf("the other branch: %+v", r)
	}
	refs := git.git(git.bare, "for-each-ref")
	run("release/next", "*")
	run(branchMain, "<1.2.0")
	if now := git.git(git.bare, "for-each-ref"); now != refs {
		t.Errorf("idle passes wrote: %s, before %s", now, refs)
	}
}

// TestLedgerElsewhere: servers that take refs below refs/heads only, and none of ours.
func TestLedgerElsewhere(t *testing.T) {
	for _, test := range []struct{ refuse, want string }{
		{"refs/sealift/*", ledger.Branch(branchMain)},
		{"*sealift*", ""},
	} {
		image := newRegistry(t, "1.2.0")
		git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
		git.hook("update", "case $1 in "+test.refuse+") exit 1;; esac\n")
		a, err := New(git.options())
		if err != nil {
			t.Fatal(err)
		}
		result, err := a.Run(t.Context())
		if err != nil || !result.Pushed {
			t.Fatalf("%s refused: %+v, %v", test.refuse, result, err)
		}
		refs := git.git(git.bare, "for-each-ref", "--format=%(refname)")
		if strings.Contains(refs, "sealift") != (test.want != "") || !strings.Contains(refs, test.want) {
			t.Errorf("%s refused: refs %s", test.refuse, refs)
		}
		if result, err := a.Run(t.Context()); err != nil || result.Pushed {
			t.Errorf("%s refused, again: %+v, %v", test.refuse, result, err)
		}
	}
}

// TestCoolDown: a tag waits from its first sighting on, over processes.
func TestCoolDown(t *testing.T) {
	image := newRegistry(t, "1.1.0")
	git := newGitServer(t, map[string]string{
		"sealift.yaml": configWith(image, "      select: {semver: '*'}\n      minimumAge: 24h\n"), "shop.yaml": deployment(image + ":1.1.0"),
	}, nil)
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) Result {
		opts := git.options()
		opts.Now = func() time.Time { return now.Add(d) }
		return mustRun(t, opts)
	}
	at(0)
	addTags(t, image, "1.2.0")
	result := at(time.Hour)
	if result.Pushed || len(result.Images[0].Refusals) != 1 || result.Images[0].Refusals[0].Gate != "age" || !result.Images[0].Until.Equal(now.Add(25*time.Hour)) {
		t.Fatalf("a new tag: %+v", result)
	}
	if result = at(24 * time.Hour); result.Pushed {
		t.Errorf("an hour early: %+v", result)
	}
	if result = at(26 * time.Hour); !result.Pushed {
		t.Errorf("after the cool-down: %+v", result)
	}
}

// TestStopInTheMiddle: whatever request a run is stopped at, nothing is half done.
func TestStopInTheMiddle(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	for stop := 1; stop <= 6; stop++ {
		ctx, cancel := context.WithCancel(t.Context())
		seen := 0
		git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, stopAt(stop, &seen, cancel))
		_, _ = Run(ctx, git.options())
		cancel()
		if result := mustRun(t, git.options()); len(result.Images[0].Holds) > 0 {
			t.Errorf("stopped at %d: %+v", stop, result)
		}
		if got := git.show("shop.yaml"); got != deployment(image+":1.2.0") || len(git.subjects()) != 2 {
			t.Errorf("stopped at %d: %q, %q", stop, got, git.subjects())
		}
	}
}

// TestIdleBesideAnotherBranch: while a push branch waits for people, refs are asked for alone.
func TestIdleBesideAnotherBranch(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	config := strings.Replace(configFor(image, "*"), "branch: main", "branch: main\n  push: {branch: bumps}", 1)
	git := newGitServer(t, map[string]string{"sealift.yaml": config, "shop.yaml": deployment(image + ":1.1.0")}, nil)
	a, err := New(git.options())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := a.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := a.Traffic()
	if result, err := a.Run(t.Context()); err != nil || result.Pushed {
		t.Errorf("%+v, %v", result, err)
	}
	if n := a.Traffic().Requests - before.Requests; n != 1 {
		t.Errorf("%d requests for an idle pass", n)
	}
}

// TestBrokenLedger is told of, and begun anew; it holds up nothing.
func TestBrokenLedger(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
	for _, files := range []map[string]string{{ledger.File: "{\"images\": 7"}, {"other": "x"}} {
		git.commit("broken", files)
		git.git(git.bare, "update-ref", ledger.Ref(branchMain), branchMain)
		result := mustRun(t, git.options())
		if !strings.Contains(fmt.Sprint(result.Notes), "is lost, and begun anew") {
			t.Errorf("%v: %+v", files, result)
		}
		data := git.git(git.bare, "show", ledger.Ref(branchMain)+":"+ledger.File)
		if _, err := ledger.Parse([]byte(data)); err != nil {
			t.Errorf("%v: the ledger is %q: %v", files, data, err)
		}
	}
	if got := git.show("shop.yaml"); got != deployment(image+":1.2.0") {
		t.Errorf("shop.yaml is %q", got)
	}
}
