package forge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealift.dev/automator/forge"
	"sealift.dev/test/stage"
	"sealift.dev/test/stage/forges"
)

const token = "s3cret-token"

// rig is a bare repository with the branches main and sealift/apps, and a forge on it.
type rig struct {
	*forges.Server
	forge forge.Forge
	bare  string
}

func newRig(t *testing.T, o forges.Options) *rig {
	t.Helper()
	bare := filepath.Join(t.TempDir(), "deploy.git")
	work := t.TempDir()
	git(t, work, "init", "--quiet", "--bare", "--initial-branch=main", bare)
	git(t, work, "init", "--quiet", "--initial-branch=main", ".")
	if _, err := stage.Commit(work, "First", map[string]string{"a.yaml": "a: 1\n"}); err != nil {
		t.Fatal(err)
	}
	git(t, work, "push", "--quiet", bare, "main")
	git(t, work, "checkout", "--quiet", "-b", "sealift/apps")
	if _, err := stage.Commit(work, "Second", map[string]string{"a.yaml": "a: 2\n"}); err != nil {
		t.Fatal(err)
	}
	git(t, work, "push", "--quiet", bare, "sealift/apps")
	o.Repository, o.Token = bare, token
	server, err := forges.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	path := o.Path
	if path == "" {
		path = "acme/deploy"
	}
	r := &rig{Server: server, bare: bare}
	r.forge = r.open(t, func(o *forge.Options) {
		o.Provider, o.Repo = string(server.Kind()), "https://git.example.com/"+path+".git"
	})
	return r
}

func (r *rig) open(t *testing.T, set func(*forge.Options)) forge.Forge {
	t.Helper()
	o := forge.Options{URL: r.URL, Token: func(context.Context) (string, error) { return token, nil }}
	set(&o)
	f, err := forge.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (r *rig) find(ctx context.Context) ([]forge.Request, error) {
	found, err := r.forge.Find(ctx, "main", "sealift/apps")
	return found["sealift/apps"], err
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := stage.Git(dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func kinds() []forges.Kind { return []forges.Kind{forges.GitHub, forges.GitLab, forges.Gitea} }

func proposal() forge.Proposal {
	return forge.Proposal{Head: "sealift/apps", Base: "main", Title: "Update apps", Body: "| a | b |\n/merge\n"}
}

func TestLifeOfARequest(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t, forges.Options{Kind: kind})
			ctx := t.Context()
			if found, err := r.find(ctx); err != nil || len(found) != 0 {
				t.Fatalf("before: %v, %v", found, err)
			}
			opened, err := r.forge.Create(ctx, proposal())
			if err != nil {
				t.Fatal(err)
			}
			tip := git(t, r.bare, "rev-parse", "sealift/apps")
			if opened.Number != 1 || opened.State != forge.StateOpen || opened.HeadCommit != tip || opened.Title != "Update apps" || !strings.Contains(opened.URL, "1") {
				t.Errorf("opened: %+v", opened)
			}
			if _, err := r.forge.Create(ctx, proposal()); !errors.Is(err, forge.ErrExists) {
				t.Errorf("a second one: %v", err)
			}
			if err := r.forge.Update(ctx, opened, "Update apps to 3", "text"); err != nil {
				t.Fatal(err)
			}
			found, err := r.find(ctx)
			if err != nil || len(found) != 1 || found[0].Title != "Update apps to 3" || found[0].Body != "text" {
				t.Fatalf("after the update: %+v, %v", found, err)
			}
			if err := r.forge.Close(ctx, found[0], "Superseded."); err != nil {
				t.Fatal(err)
			}
			if p := r.Requests()[0]; p.State != forges.Closed || !slices.Equal(p.Comments, []string{"Superseded."}) {
				t.Errorf("closed: %+v", p)
			}
			again, err := r.forge.Create(ctx, proposal())
			if err != nil || again.Number != 2 {
				t.Fatalf("again: %+v, %v", again, err)
			}
			if err := r.Merge(2); err != nil {
				t.Fatal(err)
			}
			git(t, r.bare, "update-ref", "-d", "refs/heads/sealift/apps")
			found, err = r.find(ctx)
			if err != nil || len(found) != 2 || found[0].State != forge.StateMerged || found[1].State != forge.StateClosed {
				t.Errorf("after a merge, without the branch: %+v, %v", found, err)
			}
		})
	}
}

func TestPeopleLabelsAndDrafts(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t, forges.Options{Kind: kind, Users: []string{"ada", "bob"}, Labels: []string{"images", "automerge"}})
			p := proposal()
			p.Draft, p.Labels, p.Assignees, p.Reviewers = true, []string{"automerge"}, []string{"ada"}, []string{"bob"}
			opened, err := r.forge.Create(t.Context(), p)
			if err != nil || len(opened.Notes) != 0 {
				t.Fatalf("%v, %q", err, opened.Notes)
			}
			got := r.Requests()[0]
			if !slices.Equal(got.Labels, p.Labels) || !slices.Equal(got.Assignees, p.Assignees) || !slices.Equal(got.Reviewers, p.Reviewers) {
				t.Errorf("%+v", got)
			}
			if !opened.Draft || opened.Title != "Update apps" {
				t.Errorf("draft %v, title %q", opened.Draft, opened.Title)
			}
			if err := r.forge.Update(t.Context(), opened, "Other", "x"); err != nil {
				t.Fatal(err)
			}
			if found, err := r.find(t.Context()); err != nil || !found[0].Draft || found[0].Title != "Other" {
				t.Errorf("an update ended the draft: %+v, %v", found, err)
			}
		})
	}
}

func TestUnknownPeopleDoNotStopARequest(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t, forges.Options{Kind: kind, Users: []string{"ada"}})
			p := proposal()
			p.Reviewers = []string{"nobody"}
			opened, err := r.forge.Create(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if len(opened.Notes) != 1 || len(r.Requests()) != 1 {
				t.Errorf("notes %q, %d requests", opened.Notes, len(r.Requests()))
			}
		})
	}
}

// TestForksDoNotCount has a stranger's branch of the same name.
func TestForksDoNotCount(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t, forges.Options{Kind: kind})
			r.Add(forges.Request{State: forges.Open, Head: "sealift/apps", Base: "main", Fork: true, Title: "evil"})
			r.Add(forges.Request{State: forges.Closed, Head: "sealift/apps", Base: "release", Title: "other base"})
			if found, err := r.find(t.Context()); err != nil || len(found) != 0 {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}

// TestFindReadsPages has more requests than a page holds.
func TestFindReadsPages(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t, forges.Options{Kind: kind, MaxPage: 3})
			r.Add(forges.Request{State: forges.Closed, Head: "sealift/apps", Base: "main", Title: "ours"})
			for range 7 {
				r.Add(forges.Request{State: forges.Closed, Head: "sealift/apps", Base: "main", Fork: true})
			}
			found, err := r.find(t.Context())
			if err != nil || len(found) != 1 || found[0].Number != 1 {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}

// TestAskingAgainIsConditional counts what GitHub and GitLab answer with 304.
func TestAskingAgainIsConditional(t *testing.T) {
	for _, kind := range []forges.Kind{forges.GitHub, forges.GitLab} {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t, forges.Options{Kind: kind})
			if _, err := r.forge.Create(t.Context(), proposal()); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if found, err := r.find(t.Context()); err != nil || len(found) != 1 {
					t.Fatalf("%+v, %v", found, err)
				}
			}
			if err := r.Reject(1); err != nil {
				t.Fatal(err)
			}
			if found, err := r.find(t.Context()); err != nil || found[0].State != forge.StateClosed {
				t.Fatalf("%+v, %v", found, err)
			}
			var statuses []string
			for _, line := range r.Log() {
				if strings.HasPrefix(line, "GET") {
					statuses = append(statuses, line[len(line)-3:])
				}
			}
			if want := []string{"200", "304", "304", "200"}; !slices.Equal(statuses, want) {
				t.Errorf("got %q, want %q", statuses, want)
			}
		})
	}
}

// TestGitLabObeysNoBody has a line that GitLab takes for an order.
func TestGitLabObeysNoBody(t *testing.T) {
	r := newRig(t, forges.Options{Kind: forges.GitLab})
	opened, err := r.forge.Create(t.Context(), proposal())
	if err != nil || opened.State != forge.StateOpen {
		t.Fatalf("%+v, %v", opened, err)
	}
	if err := r.forge.Update(t.Context(), opened, "x", "  /merge"); err != nil {
		t.Fatal(err)
	}
	if p := r.Requests()[0]; p.State != forges.Open {
		t.Errorf("%+v", p)
	}
}

func TestGroupsInGroups(t *testing.T) {
	r := newRig(t, forges.Options{Kind: forges.GitLab, Path: "acme/platform/deploy"})
	if _, err := r.forge.Create(t.Context(), proposal()); err != nil {
		t.Fatal(err)
	}
	if want := "/api/v4/projects/acme%2Fplatform%2Fdeploy/merge_requests"; !strings.Contains(fmt.Sprint(r.Log()), want) {
		t.Errorf("%q lacks %s", r.Log(), want)
	}
}

func TestWrongTokenIsToldAsSuch(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t, forges.Options{Kind: kind})
			f := r.open(t, func(o *forge.Options) {
				o.Provider, o.Repo = string(kind), "git@git.example.com:acme/deploy.git"
				o.Token = func(context.Context) (string, error) { return "hunter2", nil }
			})
			_, err := f.Find(t.Context(), "main", "sealift/apps")
			problem, ok := errors.AsType[*forge.Error](err)
			if !ok || problem.Status != http.StatusUnauthorized || problem.Hint == "" {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v has the token", err)
			}
		})
	}
}

// TestNoDrafts opens a request that people can merge at once where there are no drafts.
func TestNoDrafts(t *testing.T) {
	r := newRig(t, forges.Options{Kind: forges.GitHub, NoDrafts: true})
	p := proposal()
	p.Draft = true
	opened, err := r.forge.Create(t.Context(), p)
	if err != nil || opened.Draft || len(opened.Notes) != 1 || !strings.Contains(opened.Notes[0], "not supported") {
		t.Errorf("%+v, %v", opened, err)
	}
}

// TestManyBranchesAtOnce asks about all groups in one go.
func TestManyBranchesAtOnce(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t, forges.Options{Kind: kind, MaxPage: 2})
			var heads []string
			for i := range 5 {
				heads = append(heads, fmt.Sprintf("sealift/g%d", i))
				r.Add(forges.Request{State: forges.Closed, Head: heads[i], Base: "main"})
			}
			found, err := r.forge.Find(t.Context(), "main", heads...)
			if err != nil {
				t.Fatal(err)
			}
			for _, head := range heads {
				if len(found[head]) != 1 || found[head][0].Head != head {
					t.Errorf("%s: %+v", head, found[head])
				}
			}
		})
	}
}
