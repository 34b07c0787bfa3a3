package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sealift.dev/artifact"
	"sealift.dev/publisher"
)

// monorepo commits n applications and a sealift.yaml that lists them.
func (w *world) monorepo(n int) {
	w.t.Helper()
	var listed strings.Builder
	listed.WriteString(config + "publish:\n")
	var files []string
	for i := range n {
		fmt.Fprintf(&listed, "- {to: '%s/apps/a%03d', environments: {prod: apps/a%03d}}\n", w.host, i, i)
		files = append(files, fmt.Sprintf("apps/a%03d/a.yaml", i), app(i, 1))
	}
	w.commit(append(files, "sealift.yaml", listed.String())...)
}

func app(i, replicas int) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a%03d}\nspec: {replicas: %d}\n", i, replicas)
}

// planned is what sealift.yaml lists, with one key for all of a test.
func (w *world) planned(o publisher.Options) []publisher.Options {
	w.t.Helper()
	o.To, o.Environments = artifact.Repository{}, nil
	planned, err := publisher.Plan(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return planned
}

func states(results []publisher.Result) map[string]int {
	count := map[string]int{}
	for _, r := range results {
		count[r.State]++
	}
	return count
}

// TestMonorepo: of 200 releases, the one that changed is published.
func TestMonorepo(t *testing.T) {
	const n = 200
	w := newWorld(t)
	w.monorepo(n)
	o := w.as()
	results, err := publisher.PublishAll(t.Context(), w.planned(o), publisher.Batch{})
	if err != nil || states(results)[publisher.Published] != n {
		t.Fatal(states(results), err)
	}
	w.commit("apps/a042/a.yaml", app(42, 2), "README.md", "hello")
	writes, requests := w.writes, w.requests
	told := 0
	results, err = publisher.PublishAll(t.Context(), w.planned(o), publisher.Batch{Done: func(publisher.Result) { told++ }})
	if err != nil || states(results)[publisher.Skipped] != n-1 || results[42].State != publisher.Published || results[42].Sequence != 2 {
		t.Fatal(states(results), results[42], err)
	}
	if told != n || results[7].Repository != w.host+"/apps/a007" || results[7].Sequence != 1 || results[7].Reference == "" || !results[7].Unchanged || results[7].Tags[0] != "main" {
		t.Errorf("told of %d, %+v", told, results[7])
	}
	writes, requests = w.writes-writes, w.requests-requests
	t.Logf("%d writes for 1 changed release of %d; %d requests, %.1f for each skipped one", writes, n, requests, float64(requests)/n)
	if writes > 25 || requests > 8*n {
		t.Errorf("%d writes and %d requests", writes, requests)
	}
	// Nothing at all is written once nothing changed; on demand, everything.
	w.commit("README.md", "bye")
	writes = w.writes
	if results, err = publisher.PublishAll(t.Context(), w.planned(o), publisher.Batch{}); err != nil || states(results)[publisher.Skipped] != n || w.writes != writes {
		t.Errorf("%v, %v, %d writes", states(results), err, w.writes-writes)
	}
}

// TestSkip changes one thing about a commit with unchanged content.
func TestSkip(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, o *publisher.Options)
		want   string
	}{
		"nothing":              {func(*world, *publisher.Options) {}, publisher.Skipped},
		"another file":         {func(w *world, _ *publisher.Options) { w.commit("x", "y") }, publisher.Skipped},
		"formatting":           {func(w *world, _ *publisher.Options) { w.commit("prod/a.yaml", "# a\n"+configMap) }, publisher.Skipped},
		"moved file":           {func(w *world, _ *publisher.Options) { w.git("mv", "prod/a.yaml", "prod/z.yaml"); w.commit() }, publisher.Skipped},
		"an older commit":      {func(_ *world, o *publisher.Options) { o.Rev, o.Ref = "HEAD~2", "refs/heads/main" }, publisher.Skipped},
		"content":              {func(w *world, _ *publisher.Options) { w.commit("prod/b.yaml", configMap2) }, publisher.Published},
		"another environment":  {func(_ *world, o *publisher.Options) { o.Environments["dev"] = folder("prod") }, publisher.Published},
		"not asked for":        {func(_ *world, o *publisher.Options) { o.SkipIfUnchanged = nil }, publisher.Published},
		"a version":            {func(_ *world, o *publisher.Options) { o.Version = "1.0.0" }, publisher.Published},
		"a tag":                {func(w *world, _ *publisher.Options) { w.git("tag", "v1.0.0") }, publisher.Published},
		"a channel":            {func(_ *world, o *publisher.Options) { o.Channel = "stable" }, publisher.Published},
		"an epoch":             {func(_ *world, o *publisher.Options) { o.Epoch = 2 }, publisher.Published},
		"a source":             {func(_ *world, o *publisher.Options) { o.Source = "https://git.example.com/other" }, publisher.Published},
		"another key":          {func(w *world, o *publisher.Options) { p := w.as(); o.Signer, o.Verifier = p.Signer, p.Verifier }, publisher.Published},
		"somebody's at main":   {func(w *world, _ *publisher.Options) { w.unsigned() }, publisher.Published},
		"the very same commit": {func(w *world, _ *publisher.Options) { w.git("reset", "-q", "--hard", "HEAD~1") }, publisher.Unchanged},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.commit("y", "z")
			w.commit("prod/a.yaml", configMap)
			w.git("reset", "-q", "--soft", "HEAD~1")
			w.git("commit", "-q", "--amend", "-m", "one")
			w.commit("x", "x")
			o := w.as()
			yes := true
			o.SkipIfUnchanged = &yes
			w.publish(o)
			w.commit("x", "z")
			c.change(w, &o)
			if name == "an older commit" {
				o.Rev = w.git("rev-parse", "HEAD~2")
			}
			if r := w.publish(o); r.State != c.want || r.Unchanged != (c.want != publisher.Published) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// unsigned moves main to a copy of its release that nobody signed.
func (w *world) unsigned() {
	w.t.Helper()
	ref, err := w.registry.Resolve(w.t.Context(), w.repository(), "main")
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := w.registry.Manifest(w.t.Context(), ref)
	if err == nil {
		copied := []byte(strings.Replace(string(m.Raw), `"annotations":{`, `"annotations":{"x":"y",`, 1))
		_, err = w.registry.PutManifest(w.t.Context(), w.repository(), "main", m.MediaType, copied)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestOneFails: the others are published, and every failure is told.
func TestOneFails(t *testing.T) {
	w := newWorld(t)
	w.monorepo(6)
	w.commit("apps/a001/a.yaml", "kind: [\n", "apps/a003/a.yaml", "metadata: {}\n")
	w.fault = func(r *http.Request) int {
		if strings.Contains(r.URL.Path, "/apps/a004/") {
			return http.StatusInternalServerError
		}
		return 0
	}
	results, err := publisher.PublishAll(t.Context(), w.planned(w.as()), publisher.Batch{Parallel: 2})
	if err == nil || states(results)[publisher.Published] != 3 || states(results)[publisher.Failed] != 3 {
		t.Fatal(results, err)
	}
	for _, i := range []string{"1", "3", "4"} {
		if !strings.Contains(err.Error(), "publishing to "+w.host+"/apps/a00"+i+": ") {
			t.Error(err)
		}
	}
	if results[1].Repository != w.host+"/apps/a001" || !strings.Contains(results[1].Error, `"apps/a001/a.yaml" line`) || results[2].State != publisher.Published {
		t.Errorf("%+v", results)
	}
}

func TestCancelled(t *testing.T) {
	w := newWorld(t)
	w.monorepo(20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results, err := publisher.PublishAll(ctx, w.planned(w.as()), publisher.Batch{Parallel: 1, Done: func(publisher.Result) { cancel() }})
	if !errors.Is(err, context.Canceled) || len(results) != 20 || results[0].State != publisher.Published || results[19].State != publisher.Failed || results[19].Error != "not begun" {
		t.Errorf("%+v, %v", results, err)
	}
	if !strings.Contains(err.Error(), "releases were not begun") || strings.Count(err.Error(), "\n") > 4 {
		t.Error(err)
	}
	if results, err = publisher.PublishAll(t.Context(), w.planned(w.as()), publisher.Batch{}); err != nil {
		t.Error(results, err)
	}
}

func TestNone(t *testing.T) {
	if results, err := publisher.PublishAll(t.Context(), nil, publisher.Batch{}); len(results) != 0 || err != nil {
		t.Error(results, err)
	}
}
