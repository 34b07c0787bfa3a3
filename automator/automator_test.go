package automator

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealift.dev/automator/edit"
)

func TestRunPushesOneCommit(t *testing.T) {
	image := newRegistry(t, "1.1.0", "1.2.0", "1.3.0-rc.1", "2.0.0", "latest")
	kustomization := "\ufeffimages:\r\n- name: shop\r\n  newName: old/shop # {\"$imagepolicy\": \"shop:shop:name\"}\r\n" +
		"  newTag: '1.1.0'\t# {\"$imagepolicy\": \"shop:shop:tag\"}\r\n\r\n\r\n# end, without a line break"
	git := newGitServer(t, map[string]string{
		"sealift.yaml":                      configFor(image, ">=1.0.0 <2.0.0"),
		"deploy/base/shop.yaml":             deployment(image + ":1.1.0"),
		"deploy/prod/kustomization.yaml":    kustomization,
		"deploy/prod/untouched.yaml":        "a:   1 # about \"$imagepolicy\"\n",
		"deploy/prod/link.yaml":             "symlink:../base/shop.yaml",
		"deploy/prod/README.md":             deployment(image + ":1.1.0"),
		"deploy/prod/deep/er/Kustomization": "patches:\n- image: " + image + ":1.0.0 # {\"$imagepolicy\": \"shop:shop\"}\n",
	}, nil)
	base := git.tip()

	result, err := Run(t.Context(), git.options())
	if err != nil {
		t.Fatal(err)
	}
	if !result.Pushed || result.Commit != git.tip() || result.Tip != base || result.Attempts != 1 {
		t.Errorf("result %+v, tip %s", result, git.tip())
	}
	if got, want := git.show("deploy/base/shop.yaml"), deployment(image+":1.2.0"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := strings.NewReplacer("old/shop", image, "'1.1.0'", "'1.2.0'").Replace(kustomization)
	if got := git.show("deploy/prod/kustomization.yaml"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	changed := git.git(git.bare, "diff-tree", "--no-commit-id", "--name-only", "-r", branchMain)
	if want := "deploy/base/shop.yaml\ndeploy/prod/deep/er/Kustomization\ndeploy/prod/kustomization.yaml\n"; changed != want {
		t.Errorf("changed files %q, want %q", changed, want)
	}
	message := git.git(git.bare, "log", "-1", "--format=%an <%ae>%n%B", branchMain)
	for _, part := range []string{
		"Sealift <automator@sealift.dev>\nUpdate shop to 1.2.0\n\n",
		"deploy/base/shop.yaml:4: " + image + ":1.1.0 -> " + image + ":1.2.0\n",
		"\n\nSealift-Image: shop:shop 1.2.0\n",
	} {
		if !strings.Contains(message, part) {
			t.Errorf("message %q lacks %q", message, part)
		}
	}
	if out := git.git(git.bare, "fsck", "--strict"); strings.Contains(out, "error") {
		t.Errorf("fsck: %s", out)
	}

	result, err = Run(t.Context(), git.options())
	if err != nil || result.Pushed || len(result.Changes) != 0 || len(git.subjects()) != 2 {
		t.Errorf("a second run: %+v, %v, commits %q", result, err, git.subjects())
	}
}

func TestDryRunPushesNothing(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	git := newGitServer(t, map[string]string{
		"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0"),
	}, nil)
	base := git.tip()
	opts := git.options()
	opts.DryRun = true
	result, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if git.tip() != base || result.Pushed || result.Commit != "" {
		t.Errorf("pushed: %+v", result)
	}
	for _, part := range []string{"--- a/shop.yaml\n+++ b/shop.yaml\n", "-  image:   " + image + ":1.1.0 ", "+  image:   " + image + ":1.2.0 "} {
		if !strings.Contains(result.Diff, part) {
			t.Errorf("diff lacks %q:\n%s", part, result.Diff)
		}
	}
}

func TestRunReportsWhyNothingChanged(t *testing.T) {
	image := newRegistry(t, "1.1.0", "1.2.0")
	for _, test := range []struct{ name, semver, file, note, image string }{
		{"no match", ">=3.0.0", deployment(image + ":1.1.0"), "", `nothing in 2 tags matches semver ">=3.0.0"`},
		{"downgrade", "*", deployment(image + ":1.9.0"), "", "1.9.0 is newer than 1.2.0, and downgrades are not made"},
		{"pinned", "*", deployment(image + ":1.1.0@sha256:" + strings.Repeat("0", 64)), "pinned by digest", ""},
		{"digest marker", "*", deployment(image+":1.1.0") + "  digest: x # {\"$imagepolicy\": \"shop:shop:digest\"}\n", "line 5 has the digest of this image, and no digest was resolved", ""},
		{"no marker", "*", "a: b\n", "", "no file has its marker"},
		{"other marker", "*", strings.ReplaceAll(deployment(image+":1.1.0"), "shop:shop", "other:shop"), "", "no file has its marker"},
		{"broken YAML", "*", deployment(image+":1.1.0") + "  b: [\n", "did not find expected node content", "no file has its marker"},
		{"block scalar", "*", "a: | # {\"$imagepolicy\": \"shop:shop\"}\n  x\n", "a block", ""},
		{"large file", "*", deployment(image+":1.1.0") + strings.Repeat("#\n", edit.MaxBytes/2), "larger than", "no file has its marker"},
		{"up to date", "*", deployment(image + ":1.2.0"), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, test.semver), "shop.yaml": test.file}, nil)
			result, err := Run(t.Context(), git.options())
			if err != nil || result.Pushed || len(git.subjects()) != 1 {
				t.Fatalf("%+v, %v", result, err)
			}
			notes := fmt.Sprint(result.Notes)
			if !strings.Contains(notes, test.note) || test.note == "" && len(result.Notes) > 0 {
				t.Errorf("notes %s, want %q", notes, test.note)
			}
			reason := result.Images[0].Reason
			if !strings.Contains(reason, test.image) || test.image == "" && reason != "" {
				t.Errorf("reason %q, want %q", reason, test.image)
			}
		})
	}
}

// TestLargeFileFromAnyServer: servers may or may not leave out large files.
func TestLargeFileFromAnyServer(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	for _, partial := range []string{"true", "false"} {
		git := newGitServer(t, map[string]string{
			"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0"),
			"fits.yaml":  deployment(image+":1.1.0") + strings.Repeat("#", edit.MaxBytes-len(deployment(image+":1.1.0"))),
			"large.yaml": deployment(image+":1.1.0") + strings.Repeat("#", edit.MaxBytes), "large.bin": strings.Repeat("x", 2*edit.MaxBytes),
		}, nil)
		git.git(git.bare, "config", "uploadpack.allowFilter", partial)
		result, err := Run(t.Context(), git.options())
		if err != nil || !result.Pushed || len(result.Changes) != 2 || len(result.Notes) != 1 || result.Notes[0].File != "large.yaml" {
			t.Errorf("partial clones %s: %+v, %v", partial, result, err)
		}
		git.git(git.bare, "fsck", "--strict", "--connectivity-only")
	}
}

// TestRace lets several automators and a person push to one branch at once.
func TestRace(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
	const runs, people = 4, 3
	var wg sync.WaitGroup
	var mu sync.Mutex
	pushed := 0
	for range runs {
		wg.Go(func() {
			result, err := Run(t.Context(), git.options())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if result.Pushed {
				pushed++
			}
		})
	}
	wg.Go(func() {
		for i := range people {
			git.commit(fmt.Sprintf("person %d", i), map[string]string{fmt.Sprintf("file%d", i): "x"})
		}
	})
	wg.Wait()
	if pushed != 1 || len(git.subjects()) != 1+1+people {
		t.Errorf("%d runs pushed; commits %q", pushed, git.subjects())
	}
	if got := git.show("shop.yaml"); got != deployment(image+":1.2.0") {
		t.Errorf("shop.yaml is %q", got)
	}
	for i := range people {
		git.show(fmt.Sprintf("file%d", i))
	}
}

// moving pushes another commit just before the requests whose URL ends in at,
// times times.
func moving(git **gitServer, at string, times int) func(http.Handler) http.Handler {
	return func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.RequestURI(), at) && times > 0 {
				times--
				s := *git
				tree := strings.TrimSpace(s.git(s.bare, "rev-parse", branchMain+"^{tree}"))
				commit := s.git(s.bare, "commit-tree", "-p", branchMain, "-m", fmt.Sprintf("moved %d", times), tree)
				s.git(s.bare, "update-ref", "refs/heads/"+branchMain, strings.TrimSpace(commit))
			}
			inner.ServeHTTP(w, r)
		})
	}
}

// pushing is the request between reading the branch and moving it.
const pushing = "/git-receive-pack"

func TestRejectedPushIsMadeAgain(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	var git *gitServer
	git = newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, moving(&git, pushing, 2))
	result, err := Run(t.Context(), git.options())
	if err != nil || !result.Pushed || result.Attempts != 3 {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := strings.Join(git.subjects(), ","); got != "Update shop to 1.2.0,moved 0,moved 1,first" {
		t.Errorf("commits %s", got)
	}
}

func TestFullConflict(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	var git *gitServer
	git = newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, moving(&git, pushing, 1000))
	result, err := Run(t.Context(), git.options())
	if err == nil || result.Pushed || result.Commit != "" || result.Attempts != maxAttempts {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, part := range []string{"pushing to main of " + git.url, "attempt 10", "rejected", "hint:"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	if strings.Contains(strings.Join(git.subjects(), ","), "Update") {
		t.Errorf("something was written: %q", git.subjects())
	}
}

func TestForbiddenPushIsNotRepeated(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
	git.hook("update", "exit 1\n")
	result, err := Run(t.Context(), git.options())
	if err == nil || result.Attempts != maxStalled || !strings.Contains(err.Error(), "branch protection") {
		t.Fatalf("%+v, %v", result, err)
	}
	if err := os.Remove(filepath.Join(git.bare, "hooks", "update")); err != nil {
		t.Fatal(err)
	}
	if result, err := Run(t.Context(), git.options()); err != nil || !result.Pushed {
		t.Errorf("without the hook: %+v, %v", result, err)
	}
}

func TestBranchDefaultsToTheConfigurations(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	config := strings.Replace(configFor(image, "*"), "branch: main", "branch: bumps", 1)
	git := newGitServer(t, map[string]string{"sealift.yaml": config, "shop.yaml": deployment(image + ":1.1.0")}, nil)
	git.git(git.bare, "branch", "bumps", branchMain)
	opts := git.options()
	opts.Branch = ""
	result, err := Run(t.Context(), opts)
	if err != nil || result.Branch != "bumps" || len(git.subjects()) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := strings.TrimSpace(git.git(git.bare, "rev-parse", "bumps")); got != result.Commit {
		t.Errorf("bumps is at %s, want %s", got, result.Commit)
	}
}

func TestWatchSeesNewTags(t *testing.T) {
	image := newRegistry(t, "1.1.0")
	git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var pushes []string
	a, err := New(git.options())
	if err != nil {
		t.Fatal(err)
	}
	NewFleet(a).Watch(ctx, 10*time.Millisecond, 1, func(pass Pass) {
		if pass.Err != nil {
			t.Error(pass.Err)
		}
		if pass.Result.Pushed {
			pushes = append(pushes, pass.Result.Images[0].Tag)
		}
		switch {
		case len(pushes) == 2:
			cancel()
		case len(pushes) == 1:
			addTags(t, image, "1.3.0")
		default:
			addTags(t, image, "1.2.0")
		}
	})
	if fmt.Sprint(pushes) != "[1.2.0 1.3.0]" {
		t.Errorf("pushed %v", pushes)
	}
	if got := git.show("shop.yaml"); got != deployment(image+":1.3.0") {
		t.Errorf("shop.yaml is %q", got)
	}
}
