package automator

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestHint: a notification has the right repository looked at before its interval is over,
// and no other image listed.
func TestHint(t *testing.T) {
	image, other := newRegistry(t, "1.1.0"), newRegistry(t, "1.1.0")
	config := configFor(image, "*") + "    - {name: other, image: " + other + ", select: {semver: '*'}}\n"
	git := newGitServer(t, map[string]string{
		"sealift.yaml": config, "shop.yaml": deployment(image + ":1.1.0"), "other.yaml": "a: 1.1.0 # {\"$imagepolicy\": \"other:other:tag\"}\n",
	}, nil)
	quiet := newGitServer(t, map[string]string{"sealift.yaml": configFor(other, "*"), "shop.yaml": deployment(other + ":1.1.0")}, nil)
	open := func(s *gitServer) *Automator {
		opts := s.options()
		opts.ScanEvery = time.Hour
		a, err := New(opts)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	fleet := NewFleet(open(git), open(quiet))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	passes := make(chan Pass, 10)
	go fleet.Watch(ctx, time.Hour, 2, func(p Pass) { passes <- p })
	for range 2 {
		if p := <-passes; p.Err != nil || p.Result.Pushed {
			t.Fatalf("%+v", p)
		}
	}
	addTags(t, image, "1.2.0")
	addTags(t, other, "1.2.0")
	if fleet.Hint("registry.example.com/else", "") || fleet.Hint("", "https://git.example.com/else") {
		t.Error("somebody follows what nobody does")
	}
	if !fleet.Hint(strings.ToUpper(image[:1])+image[1:], "") {
		t.Error("nobody follows the image")
	}
	p := <-passes
	if p.Repo != git.url || !p.Result.Pushed || len(p.Result.Changes) != 1 || p.Result.Changes[0].Image != "shop:shop" {
		t.Errorf("after the hint: %+v", p)
	}
	quiet.commit("person", map[string]string{"shop.yaml": deployment(other + ":1.0.0")})
	if !fleet.Hint("", quiet.url) {
		t.Error("nobody keeps the repository")
	}
	// Ports say nothing, so that the other server is asked, too.
	for p = <-passes; p.Repo != quiet.url; p = <-passes {
	}
	if p.Err != nil || len(p.Result.Images) == 0 {
		t.Errorf("after a push: %+v", p)
	}
}

// TestBadRepositoryDoesNotHoldUpOthers, and is asked less often.
func TestBadRepositoryDoesNotHoldUpOthers(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	good := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
	var asked atomic.Int64
	bad := newGitServer(t, nil, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		})
	})
	var automators []*Automator
	for _, s := range []*gitServer{bad, good} {
		a, err := New(s.options())
		if err != nil {
			t.Fatal(err)
		}
		automators = append(automators, a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	counts := map[string]int{}
	passes := make(chan Pass)
	go NewFleet(automators...).Watch(ctx, 20*time.Millisecond, 1, func(p Pass) {
		select {
		case passes <- p:
		case <-ctx.Done():
		}
	})
	for counts[good.url] < 12 || counts[bad.url] < 2 {
		p, ok := <-passes
		if !ok {
			t.Fatal("the watch has ended")
		}
		counts[p.Repo]++
		if (p.Err != nil) != (p.Repo == bad.url) {
			t.Errorf("%+v", p)
		}
	}
	if got := good.show("shop.yaml"); got != deployment(image+":1.2.0") {
		t.Errorf("shop.yaml is %q", got)
	}
}

func TestPause(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		failed int
		until  time.Time
		want   time.Duration
	}{
		{0, time.Time{}, time.Minute},
		{0, now.Add(10 * time.Second), 10 * time.Second},
		{0, now.Add(time.Hour), time.Minute},
		{0, now.Add(-time.Hour), time.Minute},
		{1, now.Add(10 * time.Second), 2 * time.Minute},
		{3, time.Time{}, 8 * time.Minute},
		{100, time.Time{}, maxBackoff},
	} {
		if got := pause(time.Minute, test.failed, test.until, now); got < test.want || got > test.want+test.want/10 {
			t.Errorf("%+v: %s", test, got)
		}
	}
	if got := pause(time.Hour, 9, time.Time{}, now); got < time.Hour {
		t.Errorf("an hourly one: %s", got)
	}
}

func TestSameGit(t *testing.T) {
	const repo = "https://git.example.com/acme/deploy.git"
	for told, want := range map[string]bool{
		repo: true, "https://git.example.com/acme/deploy": true, "https://GIT.example.com/Acme/deploy/": true, "acme/deploy": true,
		"git@git.example.com:acme/deploy.git": true, "ssh://git@git.example.com:2222/acme/deploy": true,
		"https://git.example.com/acme/deploy2": false, "deploy2": false, "": false, "cme/deploy": false, "https://other.example.com/acme/deploy": false,
	} {
		if sameGit(repo, told) != want {
			t.Errorf("%q: %v", told, !want)
		}
	}
}
