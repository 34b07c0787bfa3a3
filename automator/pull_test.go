package automator

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/automator/ledger"
	"sealift.dev/test/stage/forges"
)

// pullRig is a repository on a Git server, a registry and a forge on the same repository.
type pullRig struct {
	*gitServer
	forge  *forges.Server
	images []string // repositories, one per group
	opts   Options
	fail   atomic.Bool // opening a request
}

// newPullRig follows one image per group; an empty name is of no group. Each has version 1.0.0
// in a file of its own.
func newPullRig(t *testing.T, kind forges.Kind, rules string, groups ...string) *pullRig {
	t.Helper()
	r := &pullRig{}
	files := map[string]string{}
	config := "apiVersion: sealift.dev/v1alpha1\nkind: Config\nautomate:\n  branch: main\n  pullRequests: {provider: " + string(kind) + rules + "}\n  images:\n"
	for i, group := range groups {
		image := newRegistry(t, "1.0.0")
		r.images = append(r.images, image)
		name := fmt.Sprintf("app%d", i)
		config += fmt.Sprintf("    - {name: %s, image: %q, select: {semver: '*'}, group: %q}\n", name, image, group)
		files[name+".yaml"] = fmt.Sprintf("a: 1\nimage: %s:1.0.0 # {\"$imagepolicy\": \"%s:%s\"}\nb: 1\n", image, name, name)
	}
	files["sealift.yaml"] = config
	r.gitServer = newGitServer(t, files, nil)
	if err := os.Mkdir(filepath.Join(filepath.Dir(r.bare), "acme"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(r.bare, filepath.Join(filepath.Dir(r.bare), "acme", "deploy.git")); err != nil {
		t.Fatal(err)
	}
	server, err := forges.New(forges.Options{Kind: kind, Repository: r.bare, Token: "t0ken", Labels: []string{"automerge"}, Users: []string{"ada"}, Wrap: r.failing})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	r.forge = server
	r.opts = r.options()
	r.opts.Repo = strings.TrimSuffix(r.url, "shop.git") + "acme/deploy.git"
	r.opts.Forge = Forge{URL: server.URL, Token: func(context.Context) (string, error) { return "t0ken", nil }}
	return r
}

// failing is a forge that is down when something is to be opened.
func (r *pullRig) failing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if r.fail.Load() && request.Method == http.MethodPost {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, request)
	})
}

// run makes one pass of a fresh process.
func (r *pullRig) run() Result {
	r.t.Helper()
	result, err := Run(r.t.Context(), r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

func (r *pullRig) requests(want ...string) []forges.Request {
	r.t.Helper()
	all := r.forge.Requests()
	var got []string
	for _, p := range all {
		got = append(got, fmt.Sprintf("%s %s: %s", p.State, p.Head, p.Title))
	}
	if !slices.Equal(got, want) {
		r.t.Fatalf("got %q, want %q", got, want)
	}
	return all
}

// at is a file on a branch; empty: there is none.
func (r *pullRig) at(branch, file string) string {
	r.t.Helper()
	out := r.git(r.bare, "for-each-ref", "refs/heads/"+branch)
	if out == "" {
		return ""
	}
	return r.git(r.bare, "show", branch+":"+file)
}

func (r *pullRig) person(branch, message string, files map[string]string) {
	r.t.Helper()
	work := r.t.TempDir()
	r.git(work, "clone", "-q", "-b", branch, r.bare, ".")
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.git(work, "add", "-A")
	r.git(work, "commit", "-q", "-m", message)
	r.git(work, "push", "-q", "origin", branch)
}

// moveTag lets a tag be another image.
func moveTag(t *testing.T, image, tag string) {
	t.Helper()
	ref, err := name.ParseReference(image + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	other, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, other); err != nil {
		t.Fatal(err)
	}
}

func forgeKinds() []forges.Kind { return []forges.Kind{forges.GitHub, forges.GitLab, forges.Gitea} }

func TestPullRequestIsOpenedRenewedAndMerged(t *testing.T) {
	for _, kind := range forgeKinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newPullRig(t, kind, `, labels: [automerge], reviewers: [ada]`, "")
			before := r.tip()
			addTags(t, r.images[0], "1.1.0")
			result := r.run()
			p := r.requests("open sealift/images: Update app0 to 1.1.0")[0]
			if r.tip() != before || !strings.Contains(r.at("sealift/images", "app0.yaml"), ":1.1.0 #") {
				t.Errorf("main is at %s, the branch has %q", r.tip(), r.at("sealift/images", "app0.yaml"))
			}
			if len(result.Pulls) != 1 || result.Pulls[0].Action != pullOpened || result.Pulls[0].Number != 1 || result.Pulls[0].URL == "" {
				t.Errorf("%+v", result.Pulls)
			}
			if !slices.Equal(p.Labels, []string{"automerge"}) || !slices.Equal(p.Reviewers, []string{"ada"}) || !strings.Contains(p.Body, "`1.1.0`") {
				t.Errorf("%+v", p)
			}

			again := r.run()
			if q := r.requests("open sealift/images: Update app0 to 1.1.0")[0]; q.Commit != p.Commit || q.Edits != 0 || again.Pulls[0].Action != "" {
				t.Errorf("the second pass: %+v, %+v", q, again.Pulls)
			}

			addTags(t, r.images[0], "1.2.0")
			r.run()
			renewed := r.requests("open sealift/images: Update app0 to 1.2.0")[0]
			if renewed.Commit == p.Commit || !strings.Contains(renewed.Body, "`1.2.0`") {
				t.Errorf("%+v", renewed)
			}
			if parent := r.git(r.bare, "rev-parse", "sealift/images^"); strings.TrimSpace(parent) != before {
				t.Errorf("the branch is not made anew from main: its parent is %s", parent)
			}

			if err := r.forge.Merge(1); err != nil {
				t.Fatal(err)
			}
			r.run()
			if !strings.Contains(r.show("app0.yaml"), ":1.2.0 #") || r.at("sealift/images", "app0.yaml") != "" {
				t.Errorf("after the merge: %q, branch %q", r.show("app0.yaml"), r.at("sealift/images", "app0.yaml"))
			}
			r.requests("merged sealift/images: Update app0 to 1.2.0")

			addTags(t, r.images[0], "1.3.0")
			r.run()
			r.requests("merged sealift/images: Update app0 to 1.2.0", "open sealift/images: Update app0 to 1.3.0")
		})
	}
}

// TestRevertAfterAMergeIsAHold has a person take back what a pull request brought.
func TestRevertAfterAMergeIsAHold(t *testing.T) {
	r := newPullRig(t, forges.GitHub, "", "")
	addTags(t, r.images[0], "1.1.0")
	r.run()
	if err := r.forge.Merge(1); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.person("main", "Take it back", map[string]string{"app0.yaml": strings.ReplaceAll(r.show("app0.yaml"), "1.1.0", "1.0.0")})
	r.run()
	r.requests("merged sealift/images: Update app0 to 1.1.0")
	addTags(t, r.images[0], "1.2.0")
	r.run()
	r.requests("merged sealift/images: Update app0 to 1.1.0", "open sealift/images: Update app0 to 1.2.0")
}

func TestClosedPullRequestIsAHold(t *testing.T) {
	for _, kind := range forgeKinds() {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, ledger lost %v", kind, lost), func(t *testing.T) {
				r := newPullRig(t, kind, "", "")
				addTags(t, r.images[0], "1.1.0")
				r.run()
				if err := r.forge.Reject(1); err != nil {
					t.Fatal(err)
				}
				if lost {
					r.git(r.bare, "update-ref", "-d", ledger.Ref(branchMain))
				}
				result := r.run()
				r.requests("closed sealift/images: Update app0 to 1.1.0")
				if len(result.Images[0].Refusals) == 0 || result.Images[0].Refusals[0].Gate != "hold" {
					t.Errorf("%+v", result.Images[0])
				}
				r.run()
				r.requests("closed sealift/images: Update app0 to 1.1.0")
				addTags(t, r.images[0], "1.2.0")
				r.run()
				r.requests("closed sealift/images: Update app0 to 1.1.0", "open sealift/images: Update app0 to 1.2.0")
			})
		}
	}
}

func TestSomebodysCommitIsLeftAlone(t *testing.T) {
	for _, kind := range forgeKinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newPullRig(t, kind, "", "")
			addTags(t, r.images[0], "1.1.0")
			r.run()
			r.person("sealift/images", "Fix it up", map[string]string{"fix.yaml": "x: 1\n"})
			tip := r.git(r.bare, "rev-parse", "sealift/images")
			addTags(t, r.images[0], "1.2.0")
			result := r.run()
			p := r.requests("open sealift/images: Update app0 to 1.1.0")[0]
			if got := r.git(r.bare, "rev-parse", "sealift/images"); got != tip || p.Edits != 0 {
				t.Errorf("the branch moved from %s to %s, or the text was edited: %+v", tip, got, p)
			}
			if len(result.Pulls) != 1 || !strings.Contains(result.Pulls[0].Reason, "somebody has committed") {
				t.Errorf("%+v", result.Pulls)
			}
		})
	}
}

// TestAmendedCommitIsSomebodys keeps author and trailers, and has another committer.
func TestAmendedCommitIsSomebodys(t *testing.T) {
	r := newPullRig(t, forges.GitHub, "", "")
	addTags(t, r.images[0], "1.1.0")
	r.run()
	work := t.TempDir()
	r.git(work, "clone", "-q", "-b", "sealift/images", r.bare, ".")
	if err := os.WriteFile(filepath.Join(work, "fix.yaml"), []byte("x: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.git(work, "add", "-A")
	r.git(work, "commit", "-q", "--amend", "--no-edit")
	r.git(work, "push", "-q", "--force", "origin", "sealift/images")
	addTags(t, r.images[0], "1.2.0")
	r.run()
	if r.at("sealift/images", "fix.yaml") != "x: 1\n" {
		t.Error("an amended commit was replaced")
	}
}

func TestSupersededPullRequestIsClosed(t *testing.T) {
	for _, kind := range forgeKinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newPullRig(t, kind, "", "")
			addTags(t, r.images[0], "1.1.0")
			r.run()
			r.person("main", "By hand", map[string]string{"app0.yaml": strings.ReplaceAll(r.show("app0.yaml"), "1.0.0", "1.1.0")})
			result := r.run()
			p := r.requests("closed sealift/images: Update app0 to 1.1.0")[0]
			if len(p.Comments) != 1 || result.Pulls[0].Action != pullClosed || r.at("sealift/images", "app0.yaml") != "" {
				t.Errorf("%+v, %+v", p, result.Pulls)
			}
			// What the automator closed itself is no refusal.
			r.person("main", "Back", map[string]string{"app0.yaml": strings.ReplaceAll(r.show("app0.yaml"), "1.1.0", "1.0.0")})
			if result := r.run(); len(result.Images[0].Refusals) > 0 && strings.Contains(result.Images[0].Refusals[0].Reason, "closed") {
				t.Errorf("%+v", result.Images[0])
			}
		})
	}
}

func TestOnePullRequestForEachGroup(t *testing.T) {
	for _, kind := range forgeKinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newPullRig(t, kind, "", "web", "db")
			addTags(t, r.images[0], "1.1.0")
			addTags(t, r.images[1], "2.0.0")
			r.run()
			r.requests("open sealift/web: Update app0 to 1.1.0", "open sealift/db: Update app1 to 2.0.0")
			if strings.Contains(r.at("sealift/web", "app1.yaml"), "2.0.0") {
				t.Error("one group's branch has the other's edit")
			}
			db := r.git(r.bare, "rev-parse", "sealift/db")
			if err := r.forge.Merge(1); err != nil {
				t.Fatal(err)
			}
			r.run()
			if got := r.git(r.bare, "rev-parse", "sealift/db"); got != db {
				t.Error("another file's merge renewed a branch that merges as it is")
			}
			r.requests("merged sealift/web: Update app0 to 1.1.0", "open sealift/db: Update app1 to 2.0.0")
		})
	}
}

// TestBranchFollowsTheBase has main change the very file.
func TestBranchFollowsTheBase(t *testing.T) {
	r := newPullRig(t, forges.GitHub, "", "")
	addTags(t, r.images[0], "1.1.0")
	r.run()
	r.person("main", "Change the file", map[string]string{"app0.yaml": strings.ReplaceAll(r.show("app0.yaml"), "a: 1", "a: 2")})
	r.run()
	if got := r.at("sealift/images", "app0.yaml"); !strings.Contains(got, "a: 2") || !strings.Contains(got, ":1.1.0 #") {
		t.Errorf("%q", got)
	}
	r.requests("open sealift/images: Update app0 to 1.1.0")
}

// TestRewrittenBaseRenewsTheBranch has main forced to another history: a merge would bring
// back what was taken out.
func TestRewrittenBaseRenewsTheBranch(t *testing.T) {
	r := newPullRig(t, forges.Gitea, "", "")
	r.person("main", "A secret", map[string]string{"secret": "hunter2\n"})
	addTags(t, r.images[0], "1.1.0")
	r.run()
	r.git(r.bare, "update-ref", "refs/heads/main", "main~1")
	r.run()
	r.requests("open sealift/images: Update app0 to 1.1.0")
	if files := r.git(r.bare, "ls-tree", "--name-only", "sealift/images"); strings.Contains(files, "secret") {
		t.Errorf("the branch has %q", files)
	}
}
