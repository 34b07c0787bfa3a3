package automator

import (
	"fmt"
	"strings"
	"testing"
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
