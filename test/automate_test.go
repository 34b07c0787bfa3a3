package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"sealift.dev/test/stage"
)

// TestAutomateFaultyRegistry: whatever a registry does instead of listing tags, nothing is lowered
// and nothing written, the error names the repository, and the next pass makes up for it.
func TestAutomateFaultyRegistry(t *testing.T) {
	t.Parallel()
	for _, fault := range []stage.Fault{stage.TooMany, stage.Broken, stage.HalfBody, stage.HangUp} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			y := newYard(t, yardOptions{})
			y.tag("shop", "1.0.0", "1.1.0")
			y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
			y.faults.Set(fault, stage.Tag)
			p := y.stays()
			if p.code != 1 || y.faults.Met() == 0 {
				t.Errorf("exit %d after %d faults: %s%s", p.code, y.faults.Met(), p.out, p.problem)
			}
			p.says(t, "/apps/shop")
			if fault == stage.TooMany {
				p.says(t, "busy", "hint: ")
			}
			y.faults.Set("")
			y.bumps(map[string]string{"shop.yaml": "shop:1.1.0"})
		})
	}
}

// listing answers tag lists in pages of its own, until the test sets it back to nil.
type listing struct{ pages atomic.Pointer[[]string] }

func (l *listing) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages := l.pages.Load()
		if pages == nil || !strings.HasSuffix(r.URL.Path, "/tags/list") {
			next.ServeHTTP(w, r)
			return
		}
		i := 0
		if _, err := fmt.Sscanf(r.URL.Query().Get("last"), "page-%d", &i); err != nil {
			i = 0
		}
		if i >= len(*pages) || (*pages)[i] == "" {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		if i+1 < len(*pages) {
			w.Header().Set("Link", fmt.Sprintf("<%s?last=page-%d>; rel=\"next\"", r.URL.Path, i+1))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, (*pages)[i])
	})
}

func (l *listing) set(pages ...string) { l.pages.Store(&pages) }

// TestAutomateHalfBrokenList: a list that ends early for a reason that can be seen is an error, and
// never a shorter list.
func TestAutomateHalfBrokenList(t *testing.T) {
	t.Parallel()
	lists := &listing{}
	y := newYard(t, yardOptions{registry: lists.wrap})
	y.tag("shop", "1.0.0", "1.1.0", "1.2.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	head := `{"name":"apps/shop","tags":`
	for what, pages := range map[string][]string{
		"the second page fails":       {head + `["1.0.0","1.1.0"]}`, ""},
		"the second page is HTML":     {head + `["1.0.0","1.1.0"]}`, "<html>login</html>"},
		"the second page is cut off":  {head + `["1.0.0"]}`, head + `["1.1.0",`},
		"a page is no list":           {`{"name":"apps/shop","tags":"1.1.0"}`},
		"the error is in a good page": {`{"errors":[{"code":"UNAVAILABLE"}]}`},
	} {
		lists.set(pages...)
		p := y.stays()
		if p.code == 0 && what != "the error is in a good page" {
			t.Errorf("%s: exit 0: %s%s", what, p.out, p.problem)
		}
		p.says(t, "shop")
	}
	lists.pages.Store(nil)
	y.bumps(map[string]string{"shop.yaml": "shop:1.2.0"})
}

// TestAutomateShrunkList: a tag list that lost what runs is not followed downwards.
func TestAutomateShrunkList(t *testing.T) {
	t.Parallel()
	lists := &listing{}
	y := newYard(t, yardOptions{registry: lists.wrap})
	y.tag("shop", "1.0.0", "1.1.0", "1.2.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.2.0")})
	lists.set(`{"name":"apps/shop","tags":["1.0.0","1.1.0"]}`)
	y.stays().says(t, "1.2.0")
	lists.set(`{"name":"apps/shop","tags":[]}`)
	y.stays().says(t, "shop")
	lists.set(`{"name":"apps/shop","tags":null}`)
	y.stays().says(t, "shop")
	y.holds(map[string]string{"shop.yaml": "shop:1.2.0"})
}

// TestAutomateProtectedBranch: a server that refuses the push is believed after few attempts, its
// own words are told, and a person is told where to look.
func TestAutomateProtectedBranch(t *testing.T) {
	t.Parallel()
	var pushes atomic.Int64
	y := newYard(t, yardOptions{git: stage.GitOptions{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				pushes.Add(1)
			}
			next.ServeHTTP(w, r)
		})
	}}})
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	y.hook("pre-receive", `while read old new ref; do [ "$ref" != refs/heads/main ] || { echo "main is protected: ask for a review" >&2; exit 1; }; done`)
	p := y.stays()
	if p.code != 1 || pushes.Load() == 0 || pushes.Load() > 6 {
		t.Errorf("exit %d after %d pushes", p.code, pushes.Load())
	}
	p.says(t, "hint: ", "protect")
	y.unhook("pre-receive")
	y.bumps(map[string]string{"shop.yaml": "shop:1.1.0"})
	y.sound()
}

// TestAutomateForcePushedBranch: history that is replaced while a pass runs is neither brought back
// nor lost: the edit is made again on what is there.
func TestAutomateForcePushedBranch(t *testing.T) {
	t.Parallel()
	var once atomic.Bool
	var y *yard
	y = newYard(t, yardOptions{git: stage.GitOptions{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack") && once.CompareAndSwap(false, true) {
				if err := y.rewrite(); err != nil {
					t.Error(err)
				}
			}
			next.ServeHTTP(w, r)
		})
	}}})
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	y.commit("secret", map[string]string{"secret.txt": "oops\n"})
	y.bumps(map[string]string{"shop.yaml": "shop:1.1.0", "kept.txt": "kept"})
	if !once.Load() {
		t.Error("nothing was rewritten: the test proves nothing")
	}
	if files := y.person(y.bare(), "log", "--format=", "--name-only", "main"); strings.Contains(files, "secret.txt") {
		t.Errorf("what was rewritten is back:\n%s", files)
	}
	if n := len(y.log("%s")); n != 3 {
		t.Errorf("%d commits, want 3: %q", n, y.log("%s"))
	}
	y.sound()
}

// rewrite takes the last commit back and puts another in its place, by force.
func (y *yard) rewrite() error {
	if _, err := stage.Git(y.work, "reset", "--quiet", "--hard", "HEAD~1"); err != nil {
		return err
	}
	if _, err := stage.Commit(y.work, "two", map[string]string{"kept.txt": "kept\n"}); err != nil {
		return err
	}
	_, err := stage.Git(y.work, "push", "--quiet", "--force", "origin", "HEAD:main")
	return err
}

// TestAutomateExpiredToken: a token that ends is told as such, without its text, and a new one does.
func TestAutomateExpiredToken(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{git: stage.GitOptions{User: "bot", Password: "valid"}})
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	y.env = []string{"SEALIFT_GIT_USERNAME=bot", "SEALIFT_GIT_PASSWORD=expired-a8c1"}
	p := y.stays()
	if p.code != 1 {
		t.Errorf("exit %d: %s", p.code, p.problem)
	}
	p.says(t, "deploy.git", "hint: ")
	if strings.Contains(p.out+p.problem, "a8c1") {
		t.Errorf("the token is told: %s%s", p.out, p.problem)
	}
	y.env = []string{"SEALIFT_GIT_USERNAME=bot", "SEALIFT_GIT_PASSWORD=valid"}
	y.bumps(map[string]string{"shop.yaml": "shop:1.1.0"})
}

// TestAutomateTwentyWriters: twenty automators at once on one branch, while people push as well,
// lose no update and make none twice.
func TestAutomateTwentyWriters(t *testing.T) {
	t.Parallel()
	const writers = 20
	y := newYard(t, yardOptions{})
	files, images, want := map[string]string{}, []string{}, map[string]string{}
	for i := range writers {
		name := fmt.Sprintf("app-%02d", i)
		y.tag(name, "1.0.0", "1.1.0")
		images = append(images, y.semver(name, ">=1.0.0"))
		files[name+".yaml"] = y.runs(name, "1.0.0")
		want[name+".yaml"] = name + ":1.1.0"
	}
	files["sealift.yaml"] = y.follows("", images...)
	y.commit("one", files)
	var group errgroup.Group
	for i := range writers {
		group.Go(func() error {
			p, err := y.attempt()
			if err == nil && p.code != 0 {
				err = fmt.Errorf("writer %d: exit %d: %s", i, p.code, p.problem)
			}
			return err
		})
	}
	must(t, group.Wait())
	y.holds(want)
	for i := range writers {
		name := fmt.Sprintf("app-%02d", i)
		if log := y.person(y.bare(), "log", "--format=%h", "main", "--", name+".yaml"); len(strings.Fields(log)) != 2 {
			t.Errorf("%s was changed by these commits, want the first and one more:\n%s", name, log)
		}
	}
	y.sound()
	if p := y.stays(); p.code != 0 {
		t.Errorf("afterwards: exit %d: %s", p.code, p.problem)
	}
}

// TestAutomateLargeRepository: a thousand files, of which a hundred have a marker, become one commit
// that changes a hundred lines.
func TestAutomateLargeRepository(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0")
	files := map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0"))}
	for i := range 1000 {
		files[fmt.Sprintf("apps/%02d/%03d.yaml", i/50, i)] = configMap(fmt.Sprintf("plain-%d", i), "x")
	}
	for i := range 100 {
		files[fmt.Sprintf("apps/%02d/marked.yaml", i)] = "# kept:   'as it is'\r\n" + y.runs("shop", "1.0.0")
	}
	y.commit("one", files)
	p := y.bumps(map[string]string{"apps/00/marked.yaml": "shop:1.1.0", "apps/99/marked.yaml": "shop:1.1.0"})
	if len(p.Changes) != 100 || len(y.log("%s")) != 2 {
		t.Errorf("%d changes in %d commits", len(p.Changes), len(y.log("%s"))-1)
	}
	stat := y.person(y.bare(), "diff", "--shortstat", "main~1", "main")
	if stat != " 100 files changed, 100 insertions(+), 100 deletions(-)" {
		t.Errorf("the commit has%s", stat)
	}
}
